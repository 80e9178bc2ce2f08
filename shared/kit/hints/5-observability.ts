import type { HintGroup } from './hint-group.ts';

const chapter = 'phases/5-observability/README.md';
const contract = 'docs/contract.md#phase-5-observability';

/** Suite 5. */
export const observabilityHints: HintGroup[] = [
  {
    tests: ['a start is refused > ', 'the environment > '],
    contract:
      'With a bad variable, a bad config or a port in use, the gateway does not start: exit code 1, nothing listens, one message on stderr, no stack trace.',
    read: 'docs/contract.md#environment',
    hints: [
      'There are two listeners now. What happens when one of them cannot listen?',
      'Check ADMIN_HOST and ADMIN_PORT like HOST and PORT, together with them, so that one message names all mistakes. A port in use, also by the gateway itself, stops the start with host and port; neither listener may stay open.',
    ],
    code: { file: 'server.ts', from: 'async function main(' },
    whenItDoesNotStart: true,
  },
  {
    tests: ['the admin listener > holds up no stop', 'a gateway that drains > '],
    contract: 'It stays open until the drain is over, and does not delay the stop.',
    read: contract,
    hints: [
      'Where can an operator see that the gateway drains, and until when?',
      'From the signal on, /ready answers 503 with draining, also during DRAIN_DELAY_MS, while requests are served. Close the admin listener last, when the drain is over, and cut its connections then: a scraper keeps them alive.',
    ],
    code: { file: 'server.ts', from: 'const stop = async' },
  },
  {
    tests: ['the admin listener > '],
    contract:
      'It serves GET and HEAD only. Every other method and path gets 404 `no-route`. Requests to it are neither counted nor logged.',
    read: contract,
    hints: [
      'Who uses the admin listener, and who must not reach it?',
      'Make a server of its own on its own port, with four paths: /health, /ready, /circuits, /metrics. Every other request there gets 404 no-route, in the format of all refusals. The public port keeps its own /health and has none of the other paths. Log admin listening with its url.',
    ],
    code: { file: 'admin.ts', from: 'export function buildAdmin(' },
  },
  {
    tests: ['10,000 requests with random paths'],
    contract:
      'No label has a value that a client can choose: 10,000 random paths, keys, addresses, methods, hosts and ids add no series.',
    read: `${chapter}#traps-it-avoids`,
    hints: [
      'Every value of a label is a series that stays in memory until the process ends. Which values can a client choose?',
      'Take labels from the config (prefix, service, client id) or from a list of your own. Unknown methods are OTHER, a missing route is none, and unknown callers are anonymous. Use no path, key, address, host or id.',
    ],
    code: { file: 'metrics.ts', from: '#seriesFor(' },
  },
  {
    tests: ['a secret sent in every possible place > '],
    contract:
      'No key, query, body, cookie or credential appears in the log, in `/metrics`, `/circuits`, `/ready`, in Redis or in a problem; neither does a malformed request id.',
    read: contract,
    hints: [
      'Whatever a gateway prints may be read by the wrong people. In which outputs can data of a client appear?',
      'Log the path without its query, and no header field except a well-formed request id. Replace what is malformed, and do not quote it, not even in error messages.',
    ],
    code: { file: 'access-log.ts', from: 'export function accessLog(' },
  },
  {
    tests: ['a circuit > that is open holds up no stop', 'every state is logged once'],
    contract:
      '`circuit opened` and `circuit closed` are logged once, when they happen, even without traffic.',
    read: 'docs/contract.md#phase-4-circuit-breaking',
    hints: [
      'A request, a scrape and a timer can all notice that the cooldown is over. Which of them logs it?',
      'The first of them, once: the clock decides. The timer only logs, and must not keep the process alive. setTimeout takes at most 2^31 - 1 ms.',
    ],
    code: { file: 'circuit-breaker.ts', from: 'function judge(' },
  },
  {
    tests: ['a circuit > '],
    contract:
      '`/circuits`: the circuit of each service by its name, `{"state":"open","failuresInARow":0,"closesInMs":29120}`. `failuresInARow` counts towards the next opening; `closesInMs` is a whole number, and 0 when the state is `closed`.',
    read: contract,
    hints: [
      'What does an operator want to know about a circuit? Is the value still true when no request has come since?',
      'Let the circuit return its state, its failures in a row and the time left, computed at the moment when it is read. Openings and rejections are counters that exist from the start for every service; one opening counts once.',
    ],
    code: { file: 'circuit-breaker.ts', from: 'state: () => {' },
  },
  {
    tests: [
      'with a limit > the counting is timed',
      'two gateways whose Redis comes and goes > ',
      'a gateway whose Redis closes idle connections > ',
    ],
    contract: '`redis lost` and `redis found` are logged once, when they happen, even without traffic.',
    read: contract,
    hints: [
      'Redis may go away while there are no requests. What notices it, and how soon?',
      'Listen for the loss of the connection, connect again at once, then in the background until Redis replies, and log each change once. Measure the time of every count that got a reply; gateway_redis_up asks Redis at the moment of the scrape. A client that leaves while it waits for Redis counts as 499, with no call to a service.',
    ],
    code: { file: 'fixed-window.ts', from: 'async answers(' },
  },
  {
    tests: ['with a limit > ', 'without its Redis > '],
    contract:
      '`decision` is `allowed`, `limited`, or `degraded_allowed` and `degraded_rejected` for requests that could not be counted; `class` is `identified` or `anonymous`.',
    read: 'docs/metrics.md#limits',
    hints: [
      'The limiter has four possible results. Which are they, and which requests have one at all?',
      'Count a decision where it is made, and only there: a 404 or 401 has none. Refusals are counted by client id. A gateway that rejects without Redis is not ready, and /ready names redis; one that allows is ready.',
    ],
    code: { file: 'rate-limit.ts', from: 'export function rateLimit(' },
  },
  {
    tests: ['the line of a call that failed > '],
    contract: 'There is none for 504 and for a client that disconnected',
    read: 'docs/contract.md#log',
    hints: [
      'All failures get the same 502. What would an operator have to know to act: a wrong port, a wrong name, an expired certificate?',
      'Keep the error of the call until its line is written, and log its code only: messages contain addresses. Some errors have only a number (errno), which the system can translate.',
    ],
    code: { file: 'access-log.ts', from: 'function codeOf(' },
  },
  {
    tests: ['that is none has an id, a status and the parser', 'what is not even a request > '],
    contract:
      'A request that the parser refuses counts once as a request (with the labels `none`, `none`, `OTHER`, `anonymous`, `gateway`), and once as a refusal of stage `parse`.',
    read: 'docs/metrics.md#requests',
    hints: [
      'The parser refuses before there is a request object. What counts it, and when is there nothing to count?',
      'Where you answer the parser error, call the same observers: an id, the status, source gateway, stage parse; method, path and the rest are null. A connection on which no byte was sent is not a request.',
    ],
    code: { file: 'refuse-unparsed.ts', from: 'export function refuseUnparsed(' },
  },
  {
    tests: ['the line of a request > ', 'all lines together > '],
    contract: 'stdout is JSON, one object per line',
    read: 'docs/contract.md#log',
    hints: [
      'What does one line have to contain so that no other line is needed to understand a request?',
      'Collect everything in one record when the request is over, and write the line from it: id, source, upstreamMs (null without a call) and bytesOut (of the body, before framing) are added to the earlier fields. Each request makes one line, however it ended.',
    ],
    code: { file: 'access-log.ts', from: 'export function accessLog(' },
  },
  {
    tests: ['/metrics > hurts no request', '/metrics > says the same', '/metrics > is not mixed up'],
    contract:
      'A scrape changes no metric of the gateway, and frequent or slow scrapes do not delay requests.',
    read: `${chapter}#traps-it-avoids`,
    hints: [
      'What does a scrape change in your process? Scrape twice, in both formats, at the same time.',
      'Read the metrics, never reset them. prom-client removes _total from the names of its counters for good when it writes OpenMetrics: write that format from the text of the other one.',
    ],
    code: { file: 'prometheus.ts', from: 'export async function openMetrics(' },
  },
  {
    tests: ['/metrics > '],
    contract:
      '`/metrics`: the Prometheus text format 0.0.4, or OpenMetrics 1.0.0 when `Accept` asks for `application/openmetrics-text`.',
    read: contract,
    hints: [
      'There are two formats at one address. What selects the format?',
      'Look for application/openmetrics-text in Accept. OpenMetrics ends with # EOF and names counters without _total in HELP and TYPE. The Content-Type names the format, with its version.',
    ],
    code: { file: 'admin.ts', from: "admin.get('/metrics'" },
  },
  {
    tests: ['before the first request > ', 'the families > '],
    contract:
      'The circuit metrics exist from the start for every service. `gateway_circuit_open` and `gateway_redis_up` show the state at the time of the scrape, even without traffic.',
    read: 'docs/metrics.md#labels',
    hints: [
      'What does a scrape show when the gateway has not handled a request yet?',
      'Make the series of circuits with 0 at the start, and read gauges at the moment of the scrape. Names, types and labels are exactly those of the table, with base units, _seconds and _total. promtool check metrics reports what is wrong with a name.',
    ],
    code: { file: 'admin.ts', from: 'function addScrapeTimeMetrics(' },
  },
  {
    tests: ['the call to a service ends as > '],
    contract: '`outcome` says how the call to a service ended',
    read: 'docs/metrics.md#services',
    hints: [
      'In how many ways can a call to a service end? Each of them counts once.',
      'Decide when the call is over: connect, reset, invalid and timeout are the problems of the forward stage, also when a response was cut short; aborted when the client left; otherwise http_5xx or ok by the status.',
    ],
    code: { file: 'metrics.ts', from: 'function outcomeOf(' },
  },
  {
    tests: ['a client that leaves > ', 'requests in flight > ', 'after all that > '],
    contract:
      'A request is counted once, when it has ended. If the client disconnects before its answer is complete, the status is 499.',
    read: 'docs/metrics.md#requests',
    hints: [
      'When is a request over? There are several ways, and a request must count exactly once.',
      'Count up when it begins, and down when its response closes: that event always comes. Of several pipelined requests only the first one gets it in Node; pass it on to all. A response that is not complete means 499 and source gateway, also when a 200 had begun.',
    ],
    code: { file: 'exchange.ts', from: 'export function observe(' },
  },
  {
    tests: ['a refusal > '],
    contract: '`stage` and `reason` are the stage and the problem name of [errors.md](errors.md).',
    read: 'docs/metrics.md#requests',
    hints: [
      'Which stage refused, and for which reason? The problem contains both.',
      'Count every refusal once, by the stage and name of its problem and by client id, at the place where the request ends. A 502 or 504 of the gateway is a refusal of stage forward.',
    ],
    code: { file: 'metrics.ts', from: 'end(exchange' },
  },
  {
    tests: ['an answer of a service > ', 'the label method > ', 'not counted > '],
    contract:
      '`route` is the prefix of the config, `service` a name of the config, both `none` when no route matched.',
    read: 'docs/metrics.md#labels',
    hints: [
      'Every label answers a question. Which value does each label have for this request?',
      "Take route, service and client from the config, and method from a list. status is what the client got; source is upstream when that status is the service's. Times are in seconds; overhead is the total less the call. /health and the admin listener are not counted.",
    ],
    code: { file: 'metrics.ts', from: '#seriesFor(' },
  },
  {
    tests: ['the request id > '],
    contract:
      '`X-Request-Id` of the client is kept when it is one field of 1 to 128 letters, digits, `.`, `_` and `-`. Otherwise the gateway makes one.',
    read: contract,
    hints: [
      'One id connects the client, the service, the log and a problem. Where does each of them get it?',
      "Decide on the id once, before anything else, and keep it on the request. Send it to the service in place of the client's, set it on every response in place of the service's, put it into problems as requestId and into the log as id. /health has none.",
    ],
    code: { file: 'request-id.ts', from: 'export function requestId(' },
  },
];
