import { randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';

/** The trace a request belongs to, as the service gets it (W3C Trace Context). */
export interface Trace {
  /** 32 hex digits. */
  readonly id: string;
  readonly traceparent: string;
  readonly tracestate: string | null;
}

// Version, trace id, parent id, flags; lower case only. Versions after 00 may add more behind a dash.
// No comma: Node joins repeated fields with one.
const TRACEPARENT = /^(?!ff)([\da-f]{2})-(?!0{32})([\da-f]{32})-(?!0{16})[\da-f]{16}-[\da-f]{2}(-[^,]*)?$/;

// One member of the list: key, optionally with a tenant before an @, and a value without commas and equal signs.
const MEMBER = /^[a-z\d][a-z\d_*/@-]{0,255}=[ -+\--<>-~]{0,255}[!-+\--<>-~]$/;
const MOST_MEMBERS = 32;

const NOT_ASCII = /[^\t -~]/; // trim() also takes blanks that are none to this field

/** The trace the client sent, if it is well-formed, or a new one. Bad trace fields never refuse a request. */
export function traceOf(headers: IncomingHttpHeaders): Trace {
  const traceparent = headers.traceparent as string | undefined;
  const [, version, id, more] = (traceparent && TRACEPARENT.exec(traceparent)) || [];
  if (traceparent === undefined || id === undefined || (version === '00' && more !== undefined)) {
    return newTrace();
  }
  return { id, traceparent, tracestate: stateOf(headers.tracestate as string | undefined) };
}

function stateOf(tracestate: string | undefined): string | null {
  if (tracestate === undefined) return null;
  const members = tracestate.split(',');
  // trim() and not a pattern: one that looks for blanks before a comma begins anew at every blank of a long run.
  const wellFormed = members.every((member) => member.trim() === '' || MEMBER.test(member.trim()));
  return wellFormed && members.length <= MOST_MEMBERS && !NOT_ASCII.test(tracestate) ? tracestate : null;
}

function newTrace(): Trace {
  // Node draws random bytes for UUIDs in advance; randomBytes would cost 2 µs here.
  const id = randomUUID().replaceAll('-', '');
  // The first span of a trace may share half of its id. Flag 01: somebody keeps a record. Our log does.
  return { id, traceparent: `00-${id}-${id.slice(16)}-01`, tracestate: null };
}
