import { randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { ROOT_CONTEXT } from '@opentelemetry/api';
import { SamplingDecision, TraceIdRatioBasedSampler } from '@opentelemetry/sdk-trace';

/** The trace that a request belongs to (W3C Trace Context). */
export interface Trace {
  /** 32 hex digits. */
  readonly id: string;
  /** The span of the client, 16 hex digits; null when the trace begins here. */
  readonly parentId: string | null;
  /** True when the client records the trace, or when it begins here. */
  readonly sampled: boolean;
  /** The header fields for the service: names and values, traceparent first. */
  readonly headers: string[];
  /** The span of this request, 16 hex digits; null when none is recorded. */
  spanId: string | null;
  /** The span of the call to the service, 16 hex digits; null when none is recorded. */
  callId: string | null;
}

// Version, trace id, parent id, flags, in lower case. Versions after 00 may add more after a dash.
// Node joins repeated fields with a comma. The pattern allows none, so they are malformed.
const TRACEPARENT =
  /^(?!ff)([\da-f]{2})-(?!0{32})([\da-f]{32})-(?!0{16})([\da-f]{16})-([\da-f]{2})(-[^,]*)?$/;

// One member of the list: a key of at most 256 characters, and a value without commas and equal signs.
const MEMBER = /^[a-z\d][a-z\d_*/@-]{0,255}=[ -+\--<>-~]{0,255}[!-+\--<>-~]$/;
const MAX_MEMBERS = 32;

// Checked first, because trim() also removes white space that the field does not allow.
const NOT_ASCII = /[^\t -~]/;

/** Returns the trace of the client if its traceparent is well-formed, otherwise a new one. The fields pass unchanged. */
export function traceOf(headers: IncomingHttpHeaders): Trace {
  const traceparent = String(headers.traceparent ?? '');
  const [, version, id, parentId = '', flags = '', more] = TRACEPARENT.exec(traceparent) ?? [];
  if (id === undefined || (version === '00' && more !== undefined)) return newTrace();
  const tracestate = headers.tracestate as string | undefined;
  const state = tracestate !== undefined && isWellFormed(tracestate) ? ['tracestate', tracestate] : [];
  const sampled = (Number.parseInt(flags, 16) & 1) === 1;
  return {
    id,
    parentId,
    sampled,
    headers: ['traceparent', traceparent, ...state],
    spanId: null,
    callId: null,
  };
}

function isWellFormed(tracestate: string): boolean {
  const members = tracestate.split(',');
  if (members.length > MAX_MEMBERS || NOT_ASCII.test(tracestate)) return false;
  // trim(), because a pattern for blanks before a comma takes quadratic time on a long run of blanks.
  return members.every((member) => member.trim() === '' || MEMBER.test(member.trim()));
}

function newTrace(): Trace {
  // randomUUID() takes its random bytes from a buffer; randomBytes() would cost 2 µs.
  const id = randomUUID().replaceAll('-', '');
  // The id of the first span may be half of the trace id. Flag 01: sampled, because the access log records the trace.
  const traceparent = `00-${id}-${id.slice(16)}-01`;
  return {
    id,
    parentId: null,
    sampled: true,
    headers: ['traceparent', traceparent],
    spanId: null,
    callId: null,
  };
}

/** Values of OTEL_TRACES_SAMPLER. */
export const SAMPLERS = [
  'always_on',
  'always_off',
  'traceidratio',
  'parentbased_always_on',
  'parentbased_always_off',
  'parentbased_traceidratio',
] as const;

/** Whether the spans of a trace are recorded. A parent-based sampler asks only about traces that begin here. */
export function samplerOf(name: (typeof SAMPLERS)[number], arg: number): (trace: Trace) => boolean {
  const ratio = name.endsWith('always_on') ? 1 : name.endsWith('always_off') ? 0 : arg;
  const sampler = new TraceIdRatioBasedSampler(ratio);
  const isChosen = ({ id }: Trace) =>
    sampler.shouldSample(ROOT_CONTEXT, id).decision === SamplingDecision.RECORD_AND_SAMPLED;
  if (!name.startsWith('parentbased_')) return isChosen;
  return (trace) => (trace.parentId === null ? isChosen(trace) : trace.sampled);
}
