import type { ServerResponse } from 'node:http';
import * as z from 'zod';

const times = z.int().positive().optional();
const milliseconds = z.int().positive().max(600_000);
const status = z.int().min(200).max(599);

// `times` ends a fault after that many requests; without it, the fault stays.
const faultSchema = z.discriminatedUnion('fault', [
  z.strictObject({ fault: z.literal('slow'), ms: milliseconds, times }),
  z.strictObject({ fault: z.literal('status'), status, times }),
  z.strictObject({ fault: z.literal('hang'), times }),
  z.strictObject({ fault: z.literal('reset'), times }),
  z.strictObject({ fault: z.literal('cut'), times }),
  z.strictObject({ fault: z.literal('trailer'), times }),
  z.strictObject({ fault: z.literal('offline'), forMs: milliseconds.optional() }),
  // The control endpoint cannot be reached while connections are refused, so this fault ends by itself.
  z.strictObject({ fault: z.literal('refuse'), forMs: milliseconds }),
  z.strictObject({ fault: z.literal('flapping'), every: z.int().positive(), status: status.default(503) }),
]);

/** A fault that can be set at /_faults. */
export type ServiceFault = z.infer<typeof faultSchema>;

/** What the fault does to one request. */
export type Effect =
  | { kind: 'none' | 'hang' | 'reset' | 'cut' | 'trailer' }
  | { kind: 'slow'; ms: number }
  | { kind: 'status'; status: number };

const examples = [
  'fault=slow ms=2000',
  'fault=status status=503 times=3',
  'fault=hang',
  'fault=reset',
  'fault=cut',
  'fault=trailer',
  'fault=offline forMs=5000',
  'fault=refuse forMs=5000',
  'fault=flapping every=3 status=503',
];

/** Reads a fault from JSON, or from form fields as sent by `curl -d fault=hang`. Throws an Error with a usage hint. */
export function parseFault(text: string): ServiceFault {
  const parsed = faultSchema.safeParse(text.trimStart().startsWith('{') ? parseJson(text) : parseForm(text));
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(({ path, message }) => `${path.join('.') || 'fault'}: ${message}`);
  throw new Error(`${problems.join('; ')}. Send one of: ${examples.join(' | ')}`);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error(`the body is not JSON. Send form fields or JSON: {"fault":"hang"}`);
  }
}

function parseForm(text: string): unknown {
  const fields = [...new URLSearchParams(text.trim())];
  return Object.fromEntries(
    fields.map(([name, value]) => [name, /^\d+$/.test(value) ? Number(value) : value]),
  );
}

/** The fault of one service: at most one at a time, the last one set. */
export class Faults {
  private fault: ServiceFault | undefined;
  private setAtMs = 0;
  private requests = 0;
  private waiting = 0;

  set(fault: ServiceFault | undefined): void {
    this.fault = fault;
    this.setAtMs = Date.now();
    this.requests = 0;
  }

  /** The current fault, how many requests came while it was set, and how many hang and were not cancelled, if any. */
  show(): object {
    const fault = this.current();
    const waiting = this.waiting > 0 ? { waiting: this.waiting } : {};
    return fault ? { ...fault, requests: this.requests, ...waiting } : { fault: 'none', ...waiting };
  }

  /** Counts a request that hangs, until its response closes. */
  countWaiting(response: ServerResponse): void {
    this.waiting += 1;
    response.once('close', () => {
      this.waiting -= 1;
    });
  }

  /** True while every connection but those to the control endpoint is dropped. */
  offline(): boolean {
    const fault = this.current()?.fault;
    return fault === 'offline' || fault === 'refuse';
  }

  /** Counts one request and returns what the fault does to it. */
  next(): Effect {
    const fault = this.current();
    if (!fault) return { kind: 'none' };
    this.requests += 1;
    switch (fault.fault) {
      case 'slow':
        return { kind: 'slow', ms: fault.ms };
      case 'status':
        return { kind: 'status', status: fault.status };
      case 'offline':
      case 'refuse':
        return { kind: 'reset' };
      case 'flapping': {
        const bad = Math.floor((this.requests - 1) / fault.every) % 2 === 1;
        return bad ? { kind: 'status', status: fault.status } : { kind: 'none' };
      }
      default:
        return { kind: fault.fault };
    }
  }

  private current(): ServiceFault | undefined {
    const fault = this.fault;
    if (!fault) return undefined;
    const over =
      fault.fault === 'offline' || fault.fault === 'refuse'
        ? fault.forMs !== undefined && Date.now() >= this.setAtMs + fault.forMs
        : 'times' in fault && fault.times !== undefined && this.requests >= fault.times;
    if (over) this.fault = undefined;
    return this.fault;
  }
}
