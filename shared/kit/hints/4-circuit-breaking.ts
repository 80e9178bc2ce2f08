import type { HintGroup } from '../hints.ts';

const chapter = 'phases/4-circuit-breaking/README.md';
const contract = 'docs/contract.md#phase-4-circuit-breaking';

/** Suite 4. */
export const hints: HintGroup[] = [
  {
    sentences: ['a circuit > opens at', 'a circuit > stays closed'],
    contract: '`failureThreshold` failures in a row open the circuit.',
    read: contract,
    hints: [
      'In a row: what ends a row?',
      'Keep one number per service. A failure adds one, a success sets it to 0. At failureThreshold the circuit opens, and the number is 0 again.',
    ],
    code: { file: 'circuit-breaker.ts', from: 'function judge(' },
  },
  {
    sentences: ['a circuit > passes the answer that opens it'],
    contract: 'The answer that opens it is passed on unchanged.',
    read: contract,
    hints: [
      'The third failure opens the circuit. What does its own client get?',
      'The breaker looks on: it sees how calls end and changes none of them. Only requests that come later are refused.',
    ],
    code: { file: 'circuit-breaker.ts', from: 'onResponseStart(' },
  },
  {
    sentences: ['a circuit > is told in the log'],
    contract: 'phase 4, when a request notices it',
    read: 'docs/contract.md#log',
    hints: [
      'What does an operator want to see, and how often?',
      'circuit opened (level warn, with service and cooldownMs) once per opening, circuit closed (level info) once when the next request finds the cooldown over. Refusals make their usual line, refusedBy circuit.',
    ],
    code: { file: 'circuit-breaker.ts', from: 'function judge(' },
  },
  {
    sentences: ['a circuit > '],
    contract:
      'Open: 503 `circuit-open` at once, with `Retry-After`: the time left in seconds, rounded up, at least 1. The service does not even see a connection.',
    read: 'docs/errors.md#circuit-open',
    hints: [
      'What does an open circuit spare, and whom?',
      'Refuse in a stage of its own, behind limit and before forward, for every method, without opening a connection: 503 circuit-open with Retry-After. /health has no circuit, and a refused upload is read and thrown away.',
    ],
    code: { file: 'circuit-breaker.ts', from: 'export function refuseWhileOpen(' },
  },
  {
    sentences: [
      'known when the body has ended',
      'cut short of its length',
      'reset within a chunked body',
      'a chunk that is none',
    ],
    contract: 'It is known when the body has ended.',
    read: `${chapter}#traps-it-avoids`,
    hints: [
      'The header fields say 200. Is the call a success now?',
      'Judge a call when its body has ended, not when its header fields come: what breaks off within the body is a failure.',
    ],
    code: { file: 'circuit-breaker.ts', from: 'onResponseEnd(' },
  },
  {
    sentences: ['a failure is > '],
    contract:
      'A failure is a status from 500 to 599, no connection, no answer in time, a reset, or an answer cut short.',
    read: contract,
    hints: [
      'In how many ways can a service fail? Does each of them reach your counter?',
      'Put the judgement around the call to the service, where you see its status and its errors, and count all of them together: status 500 and above, no connection, timeout, reset, garbage, an answer cut short.',
    ],
    code: { file: 'circuit-breaker.ts', from: 'onResponseError(' },
  },
  {
    sentences: ['a success is > a 304 with Content-Length'],
    contract: 'All other answers are successes; one of them sets the count back to 0.',
    read: `${chapter}#traps-it-avoids`,
    hints: [
      'A 304 may carry a Content-Length and has no body. Does your client miss one?',
      'undici takes the length for the promise of a body and fails the call. 204 and 304 are whole when their header fields are there: a success.',
    ],
    code: { file: 'circuit-breaker.ts', from: 'onResponseError(' },
  },
  {
    sentences: ['a success is > '],
    contract: 'All other answers are successes; one of them sets the count back to 0.',
    read: contract,
    hints: [
      'A 404 or a 429 of the service: is the service ill?',
      'It answered, so it is well. Everything below 500 that has ended is a success and sets the count back to 0.',
    ],
    code: { file: 'circuit-breaker.ts', from: 'onResponseEnd(' },
  },
  {
    sentences: [
      'what a client does counts neither way: > it leaves',
      'it uploads so slowly',
      'it breaks its own chunks',
    ],
    contract: 'What clients do counts neither way: leaving, slow uploads, broken chunks.',
    read: `${chapter}#traps-it-avoids`,
    hints: [
      'A call that was broken off looks like a reset. Who broke it off?',
      'When the client leaves, cancel the call with a reason of your own, and let the breaker know that reason: such a call is neither failure nor success. Otherwise anybody could open a circuit.',
    ],
    code: { file: 'circuit-breaker.ts', from: 'onResponseError(' },
  },
  {
    sentences: [
      'what a client does counts neither way: > it sends',
      'and the other refusals of the gateway are no failures',
    ],
    contract: 'Refusals of the gateway do not count either.',
    read: `${chapter}#traps-it-avoids`,
    hints: [
      'Can a request make your own client fail, without the service having seen it?',
      'undici refuses Expect, a bare Upgrade or a bare Keep-Alive by throwing: drop these fields before. The breaker judges what the service did, never the status of the answer that the gateway wrote.',
    ],
    code: { file: 'headers.ts', from: 'const NOT_TO_SERVICES' },
  },
  {
    sentences: ['one circuit per service > '],
    contract:
      'Each service has one circuit, over all its routes, in the memory of the process. Two names for one URL are two circuits.',
    read: contract,
    hints: [
      'How many circuits does the config make, and where do they live?',
      'One per name of a service, made at the start and kept in the process: not per route, not per URL, not in Redis. The stages before it answer first.',
    ],
    code: { file: 'gateway.ts', from: 'for (const [name, service] of' },
  },
  {
    sentences: ['that began before', 'begins once when many calls fail together'],
    contract:
      'Calls begun before the circuit opened change nothing afterwards: they neither close it, nor prolong it, nor count in the next round.',
    read: `${chapter}#traps-it-avoids`,
    hints: [
      'Ten calls are under way when the circuit opens. They end later. What do their ends mean?',
      'Nothing. Give each call the number of openings so far when it begins; when it ends and the number has changed, ignore it.',
    ],
    code: { file: 'circuit-breaker.ts', from: 'function judge(' },
  },
  {
    sentences: ['the cooldown > '],
    contract:
      '`cooldownMs` after it opened, the circuit is closed again, for everybody at once: no probe goes ahead, and it takes `failureThreshold` failures to open it again.',
    read: contract,
    hints: [
      'Who closes the circuit, and when exactly?',
      'Nobody: compare the clock with the time of the opening at each request. When the cooldown is over, all pass at once, and the count is 0. Refused requests do not move the end.',
    ],
    code: { file: 'circuit-breaker.ts', from: 'function cooldownLeft(' },
  },
  {
    sentences: ['the limit > is charged'],
    contract: 'The limit is charged before.',
    read: 'docs/errors.md#circuit-open',
    hints: [
      'A 503 of an open circuit: does it use quota?',
      'Yes: limit comes before circuit, so the 503 carries the RateLimit fields, and who has used up the window gets 429 instead.',
    ],
    code: { file: 'gateway.ts', from: 'gateway.register(async (pipeline)' },
  },
  {
    sentences: ['the limit > shares Redis'],
    contract: 'Each service has one circuit, over all its routes, in the memory of the process.',
    read: contract,
    hints: ['What does Redis know of circuits?', 'Nothing. Every gateway learns for itself.'],
    code: { file: 'circuit-breaker.ts', from: 'export function circuitBreaker(' },
  },
  {
    sentences: ['the config > '],
    contract: 'The message lists every bad field with its path, or names host and port.',
    read: 'docs/config.md#what-is-refused',
    hints: [
      'The config has a new section, circuitBreaker. Does your gateway know and demand it?',
      'failureThreshold and cooldownMs, both positive whole numbers, both required, and nothing else. Name every fault by its path.',
    ],
    code: { file: 'circuit-breaker.ts', from: 'export const circuitBreakerSchema' },
    whenItDoesNotStart: true,
  },
];
