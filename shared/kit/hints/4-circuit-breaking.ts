import type { HintGroup } from './hint-group.ts';

const chapter = 'phases/4-circuit-breaking/README.md';
const contract = 'docs/contract.md#phase-4-circuit-breaking';

/** Suite 4. */
export const circuitBreakingHints: HintGroup[] = [
  {
    tests: ['a circuit > opens at', 'a circuit > stays closed'],
    contract: '`failureThreshold` failures in a row open the circuit.',
    read: contract,
    hints: [
      'The failures must come in a row. What ends a row?',
      'Keep one number per service. A failure adds one, a success sets it to 0. At failureThreshold the circuit opens, and the number is 0 again.',
    ],
    code: { file: 'circuit-breaker.ts', from: 'function judge(' },
  },
  {
    tests: ['a circuit > passes the answer that opens it'],
    contract: 'The answer that opens it is passed on unchanged.',
    read: contract,
    hints: [
      'The third failure opens the circuit. Which response does its own client get?',
      'The breaker only observes: it sees how calls end and changes none of them. Only later requests are refused.',
    ],
    code: { file: 'judged-handler.ts', from: 'onResponseStart(' },
  },
  {
    tests: ['a circuit > is told in the log', 'a circuit > closes without any traffic'],
    contract:
      '`circuit opened` and `circuit closed` are logged once, when they happen, even without traffic.',
    read: 'docs/contract.md#log',
    hints: [
      'What does an operator want to see in the log, and how often?',
      'circuit opened (level warn, with service and cooldownMs) once per opening; circuit closed (level info) once, when the cooldown ends. If no request comes, a timer must write that line, but the clock decides: setTimeout takes at most 2^31 - 1 ms, and must not keep the process alive. A refusal makes its usual line, with refusedBy circuit.',
    ],
    code: { file: 'circuit-breaker.ts', from: 'function judge(' },
  },
  {
    tests: ['a circuit > '],
    contract:
      'While the circuit is open, requests get 503 `circuit-open` at once, with `Retry-After`: the time left in seconds, rounded up, at least 1. The gateway opens no connection to the service.',
    read: 'docs/errors.md#circuit-open',
    hints: [
      'Which work does an open circuit avoid, for the service and for the client?',
      'Refuse in a stage of its own, after limit and before forward, for every method, without opening a connection: 503 circuit-open with Retry-After. /health has no circuit, and a refused upload is treated like every other refusal.',
    ],
    code: { file: 'circuit-breaker.ts', from: 'export function refuseWhileOpen(' },
  },
  {
    tests: [
      'known when the body has ended',
      'cut short of its length',
      'reset within a chunked body',
      'a chunk that is none',
    ],
    contract: 'Whether an answer is a failure is known when its body has ended.',
    read: `${chapter}#traps-it-avoids`,
    hints: [
      'The header fields say 200. Is the call a success at that moment?',
      'Judge a call when its body has ended, not when its header fields arrive: a body that breaks off is a failure.',
    ],
    code: { file: 'judged-handler.ts', from: 'onResponseEnd(' },
  },
  {
    tests: ['a failure is > '],
    contract:
      'A failure is a status from 500 to 599 except 501 and 505, no connection, no answer in time, a reset, or an answer cut short.',
    read: contract,
    hints: [
      'In how many ways can a service fail? Does your counter see each of them?',
      'Judge around the call to the service, where you see its status and its errors, and count all of them together: status 500 and above, no connection, timeout, reset, invalid HTTP, a response cut short.',
    ],
    code: { file: 'judged-handler.ts', from: 'onResponseError(' },
  },
  {
    tests: ['a success is > a 304 with Content-Length'],
    contract: 'All other answers are successes; each success sets the count of failures back to 0.',
    read: `${chapter}#traps-it-avoids`,
    hints: [
      'A 304 may carry a Content-Length and has no body. Does your HTTP client wait for a body?',
      'undici expects a body of that length and fails the call. 204 and 304 are complete when their header fields have arrived: a success.',
    ],
    code: { file: 'judged-handler.ts', from: 'onResponseError(' },
  },
  {
    tests: ['a success is > '],
    contract: 'All other answers are successes; each success sets the count of failures back to 0.',
    read: contract,
    hints: [
      'The service answers 404 or 429. Is that a failure of the service?',
      'No, it has answered. Every complete response with a status below 500 is a success and sets the count back to 0.',
    ],
    code: { file: 'judged-handler.ts', from: 'onResponseEnd(' },
  },
  {
    tests: [
      'what a client does counts neither way: > it leaves',
      'it uploads so slowly',
      'it breaks its own chunks',
    ],
    contract:
      'What a client does counts neither as success nor as failure: disconnecting, slow uploads, broken chunks, chunks that are more framing than data.',
    read: `${chapter}#traps-it-avoids`,
    hints: [
      'A call that was cancelled looks like a reset. Which side cancelled it?',
      'When the client leaves, cancel the call with an error of your own, and let the breaker recognise it: such a call is neither a failure nor a success. Otherwise every client could open a circuit.',
    ],
    code: { file: 'judged-handler.ts', from: 'onResponseError(' },
  },
  {
    tests: ['it sends what the service answers with', 'no circuit opens > when a service answers'],
    contract:
      '501 and 505 count neither as success nor as failure: they say that the service does not support the request, and any client could cause them.',
    read: `${chapter}#traps-it-avoids`,
    hints: [
      'Which statuses from 500 on speak of the request, not of the state of the service?',
      '501 Not Implemented and 505 HTTP Version Not Supported. Judge neither as failure nor as success. Otherwise a few requests with an odd method open the circuit for all clients.',
    ],
    code: { file: 'judged-handler.ts', from: 'onResponseEnd(' },
  },
  {
    tests: [
      'no circuit opens > when a service resets',
      'no circuit opens > when a service closes',
      'no circuit opens > while nginx reloads',
      'a circuit opens when a service resets every connection',
    ],
    contract: 'A reused connection that ends before the first byte of the answer counts neither way',
    read: `${chapter}#traps-it-avoids`,
    hints: [
      'A service may close an idle connection while your request is on its way. Does that say that it is down?',
      'Note for each connection whether it has carried a call before, and how many bytes it had received when this call began. A reused connection that ends without one more byte counts neither way. A new connection that ends is a failure.',
    ],
    code: { file: 'reused-connection.ts', from: 'isStale(' },
  },
  {
    tests: ['no circuit opens > while there are no descriptors'],
    contract:
      'Trouble of the gateway itself counts neither way, and the service is called again as soon as it is over',
    read: 'docs/errors.md#gateway-exhausted',
    hints: [
      'connect() can fail although nothing was sent to the service. Which of its errors are about your own process?',
      'EMFILE, ENFILE, EADDRNOTAVAIL, ENOBUFS and ENOMEM: answer 503 gateway-exhausted, and do not judge the call.',
    ],
    code: { file: 'judged-handler.ts', from: 'function isFailure(' },
  },
  {
    tests: ['no circuit opens > while the process is paused'],
    contract:
      'Trouble of the gateway itself counts neither way, and the service is called again as soon as it is over',
    read: contract,
    hints: [
      'The process stood still for longer than timeoutMs, and the answers have arrived. Which runs first, your timer or your reader?',
      'The timer. Let it wait until the event loop has read the sockets once more (setImmediate), and end the call only if there is still no answer.',
    ],
    code: { file: 'call.ts', from: 'constructor(request' },
  },
  {
    tests: ['no circuit opens > '],
    contract:
      'Trouble of the gateway itself counts neither way, and the service is called again as soon as it is over',
    read: contract,
    hints: [
      'Which steps come before the connection to a service, and can one service hold them up for another?',
      'The look-up of its name and the choice of an address. dns.lookup() has four threads for all names: make one look-up of a name at a time. An address needs more time to accept than the 250 ms that Node gives it.',
    ],
    code: { file: 'lookup.ts', from: 'export function lookup(' },
  },
  {
    tests: [
      'what a client does counts neither way: > it sends',
      'and the other refusals of the gateway are no failures',
    ],
    contract: 'Refusals of the gateway do not count either.',
    read: `${chapter}#traps-it-avoids`,
    hints: [
      'Can a request make your own HTTP client fail before the service has seen it?',
      'undici throws for Expect, a bare Upgrade or a bare Keep-Alive: drop these fields before. The breaker judges what the service did, never the status of a response that the gateway wrote.',
    ],
    code: { file: 'headers.ts', from: 'const NOT_TO_SERVICES' },
  },
  {
    tests: ['one circuit per service > '],
    contract:
      'Each service has one circuit for all its routes, in the memory of the process. Two services with the same URL have two circuits.',
    read: contract,
    hints: [
      'How many circuits does the config make, and where is their state?',
      'Make one per name of a service, at the start, in the memory of the process: not per route, not per URL, not in Redis. The earlier stages answer first.',
    ],
    code: { file: 'gateway.ts', from: 'for (const [name, service] of' },
  },
  {
    tests: ['that began before', 'begins once when many calls fail together'],
    contract:
      'Calls that began before the circuit opened have no effect on it afterwards: they do not close it, do not extend the cooldown, and do not count after the circuit has closed.',
    read: `${chapter}#traps-it-avoids`,
    hints: [
      'Ten calls are in flight when the circuit opens. They end later. What do their results mean?',
      'Nothing. Give each call the number of openings so far when it begins. If that number has changed when the call ends, ignore the result.',
    ],
    code: { file: 'circuit-breaker.ts', from: 'function judge(' },
  },
  {
    tests: ['the cooldown > '],
    contract:
      '`cooldownMs` after it opened, the circuit closes for all requests at once: there is no probe request, and it takes `failureThreshold` failures to open it again.',
    read: contract,
    hints: [
      'What closes the circuit, and when exactly?',
      'Neither a request nor a timer: compare the clock with the time of the opening at each request. When the cooldown is over, all requests pass at once, and the count is 0. Refused requests do not move the end of the cooldown.',
    ],
    code: { file: 'circuit-breaker.ts', from: 'function cooldownLeft(' },
  },
  {
    tests: ['the limit > is charged'],
    contract: 'Such a request still uses quota of the rate limit.',
    read: 'docs/errors.md#circuit-open',
    hints: [
      'Does a 503 of an open circuit use quota?',
      'Yes: limit comes before circuit, so the 503 carries the RateLimit fields, and a client that has used up its window gets 429 instead.',
    ],
    code: { file: 'gateway.ts', from: 'gateway.register(async (pipeline)' },
  },
  {
    tests: ['the limit > that the refused request has used up'],
    contract:
      'If it was the last request of its window (`r=0`), and the window ends later than the cooldown, `Retry-After` is the `t` of `RateLimit`.',
    read: 'docs/errors.md#circuit-open',
    hints: [
      'The circuit closes in 5 s, and the next request of the client passes the limit in 60 s. When should it come back?',
      'Retry-After is the larger of the two when no request of the window is left, and the end of the cooldown otherwise.',
    ],
    code: { file: 'circuit-breaker.ts', from: 'function secondsToNextWindow(' },
  },
  {
    tests: ['the limit > shares Redis'],
    contract: 'Each service has one circuit for all its routes, in the memory of the process.',
    read: contract,
    hints: ['What does Redis store about circuits?', 'Nothing. Each gateway counts failures for itself.'],
    code: { file: 'circuit-breaker.ts', from: 'export function circuitBreaker(' },
  },
  {
    tests: ['the config > '],
    contract: 'The message lists every bad field with its path, or names host and port.',
    read: 'docs/config.md#what-is-refused',
    hints: [
      'The config has a new section, circuitBreaker. Does your gateway know and require it?',
      'failureThreshold and cooldownMs, both positive whole numbers, both required, and no other field. Name every mistake by its path.',
    ],
    code: { file: 'circuit-breaker.ts', from: 'export const circuitBreakerSchema' },
    whenItDoesNotStart: true,
  },
];
