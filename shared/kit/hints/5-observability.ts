import type { HintGroup } from '../hints.ts';

const chapter = 'phases/5-observability/README.md';
const contract = 'docs/contract.md#phase-5-observability';

/** Suite 5. */
export const hints: HintGroup[] = [
  {
    sentences: ['in the config, which is named'],
    contract: 'The message lists every bad field with its path, or names host and port.',
    read: 'docs/config.md#what-is-refused',
    hints: [
      'The config has a new field, serverTiming. Does your gateway know and demand it?',
      'serverTiming is true or false, required like every field, and nothing else passes for it. Name it when it is missing or wrong.',
    ],
    code: { file: 'config.ts', from: 'const configSchema' },
    whenItDoesNotStart: true,
  },
  {
    sentences: ['a start is refused > ', 'the environment > '],
    contract:
      'A bad variable, a bad config or a port in use stops the start: exit code 1, nothing listens, one message on stderr, no stack.',
    read: 'docs/contract.md#environment',
    hints: [
      'There are two listeners now. What when one of them cannot listen?',
      'ADMIN_HOST and ADMIN_PORT are checked like HOST and PORT, together with them, so that one message names all. A port that is in use, by the gateway itself too, stops the start with host and port; nothing may be left listening.',
    ],
    code: { file: 'server.ts', from: 'async function main(' },
  },
  {
    sentences: ['holds up no stop', 'a gateway that drains > '],
    contract: 'It stays until the drain is over, and holds up no stop.',
    read: contract,
    hints: [
      'Who is asked whether the gateway drains, and how long can one ask?',
      'From the signal on /ready says 503 with draining. Close the admin listener last, when the drain is over, and cut its connections then: a scraper keeps them alive.',
    ],
    code: { file: 'server.ts', from: 'const stop = async' },
  },
  {
    sentences: ['the admin listener > '],
    contract:
      'GET and HEAD only. Every other method and path gets 404 `no-route`. What it is asked is neither counted nor logged.',
    read: contract,
    hints: [
      'Whom is the admin listener for, and who must not reach it?',
      'A server of its own on its own port, with four paths: /health, /ready, /circuits, /metrics. Everything else there is 404 no-route, in the format of all refusals. The public port keeps its own /health and knows none of the others. Log admin listening with its url.',
    ],
    code: { file: 'admin.ts', from: 'export function buildAdmin(' },
  },
  {
    sentences: ['10,000 requests with random paths'],
    contract:
      'Labels hold nothing that a client may choose: 10,000 random paths, keys, addresses, methods, hosts and ids add no series.',
    read: `${chapter}#traps-it-avoids`,
    hints: [
      'Every value of a label is a series that is kept for ever. Which values may a client choose?',
      'Take labels from the config (prefix, service, client id) or from a list of your own. Unknown methods are OTHER, no route is none, callers that nobody knows are anonymous. No path, key, address, host or id.',
    ],
    code: { file: 'metrics.ts', from: '#requestsLike(' },
  },
  {
    sentences: ['a secret sent in every possible place > '],
    contract:
      'No key, query, body, cookie or credential appears in the log, in `/metrics`, `/circuits`, `/ready`, in Redis or in a problem; neither does a malformed request id or `traceparent`.',
    read: contract,
    hints: [
      'Everything that is told can be told to the wrong people. Through which doors does what a client sends go out?',
      'Log the path without its query, and no header field but a well-formed request id and the trace id. What is malformed is replaced, not quoted, also in error messages.',
    ],
    code: { file: 'access-log.ts', from: 'export function accessLog(' },
  },
  {
    sentences: [
      'closes without any traffic',
      'holds up no stop, and stays open',
      'every state is logged once',
    ],
    contract:
      '`circuit opened`, `circuit closed`, `redis lost` and `redis found` are told when they happen, once, without any traffic.',
    read: `${chapter}#traps-it-avoids`,
    hints: [
      'So far the next request noticed that the cooldown was over. Who notices when there is none?',
      'A timer may tell it, but the clock decides: the timer only writes the line and must not keep the process alive. setTimeout takes at most 2^31 - 1 ms.',
    ],
    code: { file: 'circuit-breaker.ts', from: 'function judge(' },
  },
  {
    sentences: ['a circuit > '],
    contract:
      '`/circuits`: the circuit of each service by its name, `{"state":"open","failuresInARow":0,"closesInMs":29120}`. `failuresInARow` counts towards the next opening; `closesInMs` is whole, and 0 when the state is `closed`.',
    read: contract,
    hints: [
      'What does an operator ask of a circuit? And is the answer true when nobody has called since?',
      'Let the circuit tell its state, its failures in a row and the time left, computed at the moment of the question. Openings and rejections are counters, there from the start for every service, and one opening counts once.',
    ],
    code: { file: 'circuit-breaker.ts', from: 'state: () => {' },
  },
  {
    sentences: ['with a limit > the counting is timed', 'two gateways whose Redis comes and goes > '],
    contract:
      '`circuit opened`, `circuit closed`, `redis lost` and `redis found` are told when they happen, once, without any traffic.',
    read: contract,
    hints: [
      'Redis may go while nobody calls. Who finds out, and how soon?',
      'Listen for the loss of the connection, ask again in the background until Redis answers, and tell a change once. Time every count that was answered; gateway_redis_up asks at the moment of the scrape. A client that leaves while it waits for Redis is counted as 499, with no call to a service.',
    ],
    code: { file: 'redis.ts', from: 'async count(' },
  },
  {
    sentences: ['with a limit > ', 'without its Redis > '],
    contract:
      '`decision` is `allowed`, `limited`, or `degraded_allowed` and `degraded_rejected` for what could not be counted; `class` is `identified` or `anonymous`.',
    read: 'docs/metrics.md#limits',
    hints: [
      'The limiter has four answers. Which are they, and when has it decided at all?',
      'Count a decision where it is made, and only there: 404 and 401 are none. Refusals count by client id. A gateway that rejects without Redis is not ready, and /ready names redis; one that allows is.',
    ],
    code: { file: 'rate-limit.ts', from: 'export function rateLimit(' },
  },
  {
    sentences: ['that is none has an id, a status and the parser', 'what is not even a request > '],
    contract:
      'What the parser refuses counts once as a request (`none`, `none`, `OTHER`, `anonymous`, `gateway`), and once as a refusal of stage `parse`.',
    read: 'docs/metrics.md#requests',
    hints: [
      'The parser refuses before there is a request. Who counts it, and when is there nothing to count?',
      'Where you answer the parser error, tell the same observers: an id, the status, source gateway, stage parse; method, path and the rest are null. A connection on which nothing was said is no request.',
    ],
    code: { file: 'observe.ts', from: 'export function unparsedExchange(' },
  },
  {
    sentences: ['the line of a request > ', 'all lines together > '],
    contract: 'stdout is JSON, one object per line',
    read: 'docs/contract.md#log',
    hints: [
      'What does one line have to tell, so that no other is needed to understand a request?',
      'Gather everything in one record when the request is over, and write the line from it: id, traceId, source, upstreamMs (null without a call) and bytesOut (of the body, before framing) join the fields of before. Each request makes one line, whatever became of it.',
    ],
    code: { file: 'observe.ts', from: 'function exchangeOf(' },
  },
  {
    sentences: ['/metrics > hurts no request', '/metrics > says the same', '/metrics > is not mixed up'],
    contract: 'Asking changes nothing, and however often or slowly it is done, no request suffers.',
    read: `${chapter}#traps-it-avoids`,
    hints: [
      'What does a scrape change in your process? Ask twice, in both formats, at once.',
      'Read, never reset. prom-client cuts _total off its counters for good when it writes OpenMetrics: write that format from the text of the other one.',
    ],
    code: { file: 'metrics.ts', from: 'async openMetrics(' },
  },
  {
    sentences: ['/metrics > '],
    contract:
      '`/metrics`: the Prometheus text format 0.0.4, or OpenMetrics 1.0.0 when `Accept` asks for `application/openmetrics-text`.',
    read: contract,
    hints: [
      'Two formats, one address. Who chooses?',
      'Look for application/openmetrics-text in Accept. OpenMetrics ends with # EOF and names counters without _total in HELP and TYPE. The Content-Type says which one it is, with its version.',
    ],
    code: { file: 'admin.ts', from: "admin.get('/metrics'" },
  },
  {
    sentences: ['before the first request > ', 'the families > '],
    contract:
      'The circuit metrics are there from the start for every service. `gateway_circuit_open` and `gateway_redis_up` are true when they are asked for, without any traffic.',
    read: 'docs/metrics.md#labels',
    hints: [
      'What does somebody see who scrapes a gateway that has done nothing yet?',
      'Make the series of circuits with 0 at the start, and read gauges at the moment of the scrape. Names, types and labels are exactly those of the table; base units, _seconds and _total. promtool check metrics tells what is wrong with a name.',
    ],
    code: { file: 'metrics.ts', from: 'watch(circuits' },
  },
  {
    sentences: ['the call to a service ends as > '],
    contract: '`outcome` says how the call to a service ended',
    read: 'docs/metrics.md#services',
    hints: [
      'In how many ways can a call to a service end? Each of them counts once.',
      'Decide when the call is over: connect, reset, invalid and timeout are the problems of the forward stage, also when an answer was cut short; aborted when the client left; else http_5xx or ok by the status.',
    ],
    code: { file: 'metrics.ts', from: 'function outcomeOf(' },
  },
  {
    sentences: ['a client that leaves > ', 'requests in flight > ', 'after all that > '],
    contract:
      'A request counts once, when it is over. A client that left before its answer was complete counts as 499.',
    read: 'docs/metrics.md#requests',
    hints: [
      'When is a request over? There is more than one way, and none may count twice or not at all.',
      'Count up when it begins and down when its response closes, the one event that always comes. Of pipelined requests Node tells only the first; pass it on to all. Not complete means 499 and source gateway, also when a 200 had begun.',
    ],
    code: { file: 'observe.ts', from: 'export function observe(' },
  },
  {
    sentences: ['a refusal > '],
    contract: '`stage` and `reason` are stage and problem name of [errors.md](errors.md).',
    read: 'docs/metrics.md#requests',
    hints: [
      'Who says no, and why? The problem knows both.',
      'Count every refusal once by the stage and name of its problem and by client id, where the request ends. A 502 or 504 of the gateway is one of stage forward.',
    ],
    code: { file: 'metrics.ts', from: 'end(exchange' },
  },
  {
    sentences: ['an answer of a service > ', 'the label method > ', 'not counted > '],
    contract:
      '`route` is the prefix of the config, `service` a name of the config, both `none` when there is none.',
    read: 'docs/metrics.md#labels',
    hints: [
      'Every label answers a question. Which value does each have for this request?',
      "route, service and client from the config, method from a list, the status that the client got, source upstream when that status is the service's. Times are in seconds; overhead is the total less the call. /health and the admin listener count nowhere.",
    ],
    code: { file: 'metrics.ts', from: '#requestsLike(' },
  },
  {
    sentences: ['with serverTiming: true > ', 'with serverTiming: false > '],
    contract:
      'With `"serverTiming": true` every answer of a route and every refusal carries `Server-Timing`: the stages that ran, of `route`, `identify`, `limit`, `circuit` and `upstream`, then `total`, in ms: `route;dur=0.041, identify;dur=0.012, total;dur=0.102`.',
    read: contract,
    hints: [
      'Which stages ran before this answer was written, and how long did each take?',
      'Note the time behind each stage, and write the field when the header fields of the answer are written: the stages that ran, the one that refused as the last, then total. A Server-Timing of the service keeps a line of its own. With false write none.',
    ],
    code: { file: 'observe.ts', from: 'serverTiming(refusedBy' },
  },
  {
    sentences: ['the request id > '],
    contract:
      '`X-Request-Id` of the client is kept when it is one field of 1 to 128 letters, digits, `.`, `_` and `-`. Otherwise the gateway makes one.',
    read: contract,
    hints: [
      'One id joins the client, the service, the log and a problem. Where does each of them get it?',
      "Decide once, before anything else, and keep it on the request. Send it to the service in place of the client's, set it on every answer in place of the service's, put it into problems as requestId and into the log as id. /health has none.",
    ],
    code: { file: 'observe.ts', from: 'export function requestId(' },
  },
  {
    sentences: ['the traceparent > ', 'the tracestate > '],
    contract:
      'A malformed or repeated `traceparent` is dropped, with its `tracestate`. Then, and when there was none, the gateway begins a trace. Nobody gets 400 for it. A malformed `tracestate` is dropped alone.',
    read: contract,
    hints: [
      'A trace is passed on, or begun anew. What exactly is a well-formed traceparent?',
      'Lower-case hex: 00, 32 digits that are not all zero, 16 that are not all zero, 2, with dashes between. ff is no version; later ones may have more behind a dash. A tracestate is a list of at most 32 key=value members, and means nothing without its traceparent. Beware of patterns that begin anew at every blank of a long run: they stop everybody.',
    ],
    code: { file: 'trace-context.ts', from: 'export function traceOf(' },
  },
];
