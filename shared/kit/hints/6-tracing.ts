import type { HintGroup } from './hint-group.ts';

const contract = 'docs/contract.md#phase-6-tracing';

/** Suite 6. */
export const tracingHints: HintGroup[] = [
  {
    tests: ['in the config, which is named'],
    contract: 'The message lists every bad field with its path, or names host and port.',
    read: 'docs/config.md#what-is-refused',
    hints: [
      'The config has a new field, serverTiming. Does your gateway know and require it?',
      'serverTiming is true or false; no other value is accepted, and like every field it is required. Name it when it is missing or wrong.',
    ],
    code: { file: 'config.ts', from: 'export const configSchema' },
    whenItDoesNotStart: true,
  },
  {
    tests: ['with serverTiming: true > ', 'with serverTiming: false > '],
    contract:
      'With `"serverTiming": true` every answer of a route and every refusal carries `Server-Timing`. It lists in ms those of the stages `route`, `identify`, `limit`, `circuit` and `upstream` that ran, then `total`: `route;dur=0.041, identify;dur=0.012, total;dur=0.102`.',
    read: contract,
    hints: [
      'Which stages ran before this response was written, and how long did each take?',
      'Store the time after each stage, and write the field together with the header fields of the response: the stages that ran, the one that refused as the last, then total. A Server-Timing of the service keeps its own line. With false, write none.',
    ],
    code: { file: 'server-timing.ts', from: 'export class ServerTiming' },
  },
  {
    tests: ['the trace id in the log > '],
    contract:
      'Every line of a request has the trace id of its `traceparent` as `traceId`, also when the gateway refused the request.',
    read: contract,
    hints: [
      'When is the trace of a request known? Refused requests have one, too.',
      'Read the traceparent before the first stage, and keep the trace on the request. Log its id, or that of the new trace. What the parser refuses has no fields that your code could read: null.',
    ],
    code: { file: 'exchange.ts', from: 'export function observe(' },
  },
  {
    tests: ['a secret in the trace fields and in the query > '],
    contract:
      'No part of a malformed `traceparent` or `tracestate` appears in the log, in an answer, or in what the admin listener serves. `Server-Timing` contains nothing that the client sent.',
    read: contract,
    hints: [
      'Whatever a gateway prints may be read by the wrong people. Which parts of a traceparent may leave the gateway?',
      'Log the trace id of a well-formed traceparent, and nothing else of it. Replace what is malformed, and do not quote it. Server-Timing has names of stages and durations only, no path and no query.',
    ],
    code: { file: 'trace-context.ts', from: 'export function traceOf(' },
  },
  {
    tests: ['the traceparent > '],
    contract:
      'A malformed or repeated `traceparent` is dropped, together with its `tracestate`. In this case, and when there was no `traceparent`, the gateway starts a trace. It never answers 400 for a malformed `traceparent`.',
    read: contract,
    hints: [
      'A trace is continued, or a new one begins. What exactly is a well-formed traceparent?',
      'Lower-case hex: 00, 32 digits that are not all zero, 16 that are not all zero, 2, with dashes between them. ff is not a version; later versions may have more after another dash.',
    ],
    code: { file: 'trace-context.ts', from: 'export function traceOf(' },
  },
  {
    tests: ['the tracestate > '],
    contract: 'If only the `tracestate` is malformed, only the `tracestate` is dropped.',
    read: contract,
    hints: [
      'A tracestate belongs to its traceparent. When is it passed on?',
      'A tracestate is a list of at most 32 key=value members, and has no meaning without its traceparent. Avoid regular expressions that start again at every blank of a long run: they block the event loop for all requests.',
    ],
    code: { file: 'trace-context.ts', from: 'function isWellFormed(' },
  },
  {
    tests: ['a request that is answered > ', 'a call that fails > '],
    contract:
      'A sampled request has a SERVER span. Its parent is the span in the `traceparent` of the client; it has none when the trace begins here.',
    read: contract,
    hints: [
      'Which two spans does one request through a gateway have, and which of them is the parent that the service gets?',
      'Make the ids of both spans when the request begins, because the traceparent for the service needs one of them. Write the spans when the request has ended: all that they say is known then. The conventions for HTTP name the attributes.',
    ],
    code: { file: 'spans.ts', from: 'return (exchange: Exchange): ReadableSpan[]' },
  },
  {
    tests: ['a request that is refused > '],
    contract:
      'A refusal is an event `refused` of the SERVER span, with `gateway.stage` and `gateway.problem` as in [errors.md](errors.md).',
    read: contract,
    hints: [
      'The service was not called. Which span is left, and what should it say?',
      'A SERVER span alone, with one event: stage and name of the problem, at the time of the refusal. Below 500 its status stays unset.',
    ],
    code: { file: 'spans.ts', from: 'function refusalOf(' },
  },
  {
    tests: ['the exporter > '],
    contract: 'The spans are sent with POST to `/v1/traces` as JSON, in batches',
    read: 'docs/config.md#spans',
    hints: [
      'Which of the variables of OpenTelemetry does your exporter read by itself, and which does it not know?',
      'Give the spans to a batch processor, not to the exporter. Check endpoint, protocol, sampler and numbers at the start, and name the variable that is wrong.',
    ],
    code: { file: 'tracing.ts', from: 'const environmentSchema' },
  },
  {
    tests: ['a trace that is not sampled > '],
    contract:
      "The parent-based samplers obey the flag of the client's `traceparent`, and decide only about traces that begin here.",
    read: contract,
    hints: [
      'Who decides about a trace: its first service, or each one by itself?',
      'With a parentbased sampler the flag of a well-formed traceparent decides, and the rest of the name only without one. The other samplers do not look at the flag. Pass the decision on as the flag of your own traceparent.',
    ],
    code: { file: 'trace-context.ts', from: 'export function samplerOf(' },
  },
  {
    tests: ['a secret > '],
    contract:
      'No span contains a query, a key, a cookie, the address of a client, or a header field other than a well-formed `X-Request-Id` and `tracestate`.',
    read: contract,
    hints: [
      'Spans leave the gateway for another program, which keeps them. What must not be in them?',
      'Use the prefix of the route and the path without its query. Leave url.full, url.query, client.address and user_agent.original out.',
    ],
    code: { file: 'spans.ts', from: 'return (exchange: Exchange): ReadableSpan[]' },
  },
  {
    tests: ['under load > ', 'the end of the process > '],
    contract:
      'A collector that is down, hangs or refuses costs spans. No request fails or waits for it, and the process ends within 2 s more than without it.',
    read: contract,
    hints: [
      'What happens to the spans while no collector takes them, and what happens to the requests?',
      'Bound the queue, and drop what does not fit. No request awaits an export. At the end, flush with a time limit, then exit.',
    ],
    code: { file: 'tracing.ts', from: 'export class Tracing' },
  },
];
