import type { HintGroup } from '../hints.ts';

const chapter = 'phases/3-rate-limiting/README.md';
const contract = 'docs/contract.md#phase-3-rate-limiting';

/** Suite 3. */
export const hints: HintGroup[] = [
  {
    sentences: ['counts from the first call on'],
    contract:
      'phase 3 on: `redis://` or `rediss://`; a number behind a slash names the database. Unset: counters in the memory of this process, and the log says so',
    read: 'docs/contract.md#environment',
    hints: [
      'The first call after the start is counted. Is the counter ready by then?',
      'Wait at the start for the first word of Redis, a moment at most. Without REDIS_URL count in the memory of the process, and log one line of level warn: embedded redis: limits hold for this one process only.',
    ],
    code: { file: 'redis.ts', from: 'export async function connectRedis(' },
  },
  {
    sentences: ['refuses an upload over the limit'],
    contract: 'The connection stays usable, also when a refused upload is still on its way.',
    read: 'docs/contract.md#refusals',
    hints: [
      'A stage that waits for Redis runs while the upload arrives. Who reads it when it is refused?',
      'Answer 429 like every refusal, and let the rest of the body be read and thrown away.',
    ],
    code: { file: 'problem.ts', from: 'export function sendProblem(' },
  },
  {
    sentences: ['of 400 calls at once'],
    contract:
      'Per window exactly `limit` requests pass, however many come at once and however many gateways share the Redis.',
    read: contract,
    hints: [
      'Did too many pass, or were calls not counted at all? The first is a gap between reading a counter and writing it. With the second, Redis had answered: did your process read it in time?',
      'Count and decide in one step: a Lua script with INCR and the expiry. And a timer is due before a socket is read, so a busy process gives up a healthy Redis: when the 200 ms are over, let the event loop turn once more, with setImmediate, and look whether the answer is there.',
    ],
    code: { file: 'redis.ts', from: 'async count(' },
  },
  {
    sentences: ['when 100 calls come at once'],
    contract:
      'Per window exactly `limit` requests pass, however many come at once and however many gateways share the Redis.',
    read: `${chapter}#what-it-does`,
    hints: [
      'Two requests ask at the same moment. Between reading a counter and writing it, what may happen?',
      'Count and decide in one step: INCR gives every request a place of its own, and a Lua script does that and the expiry without anybody in between. Pass while the place is at most the limit.',
    ],
    code: { file: 'fixed-window.lua', from: "local count = redis.call('INCR'", lines: 8 },
  },
  {
    sentences: [
      'one bucket over all routes',
      'buckets of two clients apart',
      'and the address it comes from apart',
      'apart from the address that is its name',
    ],
    contract:
      'Each client has one bucket, over all routes, methods and keys. Callers without a key have one per address',
    read: contract,
    hints: [
      'Whose requests are counted together?',
      'Name the bucket after the client id, or after the address of a caller without a key, and after nothing else: no route, no method, no key. The two kinds must not meet: gateway:{client:ID} and gateway:{address:ADDRESS}.',
    ],
    code: { file: 'rate-limit.ts', from: 'function bucketOf(' },
  },
  {
    sentences: ['the decision > '],
    contract: 'Then 429 `rate-limited`, and no service is called.',
    read: 'docs/errors.md#rate-limited',
    hints: [
      'Where in the pipeline is the request counted, and what happens to one too many?',
      'Behind access and before forward: count it, and when its place is beyond the limit of its class (identified or anonymous), answer 429 rate-limited.',
    ],
    code: { file: 'rate-limit.ts', from: 'export function rateLimit(' },
  },
  {
    sentences: ['stand there once when the service sends its own'],
    contract: 'Fields of those names from the service are replaced.',
    read: contract,
    hints: [
      'The service may have a limiter of its own. Whose numbers does the client get?',
      'When the answer is written, fields that your stages have set win over those of the service with the same name. Everything else of the service passes, x-ratelimit-* too.',
    ],
    code: { file: 'headers.ts', from: 'export function answerHeaders(' },
  },
  {
    sentences: ['the fields > name policy'],
    contract:
      '`RateLimit-Policy: "identified";q=10;w=60` (limit, window in seconds, rounded up) and `RateLimit: "identified";r=9;t=60` (requests left, seconds left).',
    read: contract,
    hints: [
      'Compare the letters one by one: q and w come from the config, r and t from the counter.',
      'q is the limit, w the window and t the time left in whole seconds, rounded up from whole milliseconds, so that the first call says t = w. r is what is left after this call.',
    ],
    code: { file: 'rate-limit.ts', from: 'export function rateLimit(' },
  },
  {
    sentences: ['the fields > '],
    contract:
      'Every answer that was counted carries two structured fields, of draft-ietf-httpapi-ratelimit-headers: `RateLimit-Policy: "identified";q=10;w=60` (limit, window in seconds, rounded up) and `RateLimit: "identified";r=9;t=60` (requests left, seconds left).',
    read: contract,
    hints: [
      'Which answers tell how much is left? More than the ones that succeed.',
      'Set both fields as soon as the request is counted, so that whatever answers it carries them: the service, a 429, a 502 of the gateway. Seconds are rounded up, at least 1; r never falls below 0; 429 adds Retry-After with the same seconds.',
    ],
    code: { file: 'rate-limit.ts', from: 'export function rateLimit(' },
  },
  {
    sentences: ['free of charge > '],
    contract: '400, 404, 401 and `/health` use no quota.',
    read: contract,
    hints: [
      'Which requests are refused before they are counted?',
      'The limit stage comes behind parse, route, identify and access. What these refuse is not counted, and carries no RateLimit fields.',
    ],
    code: { file: 'gateway.ts', from: 'gateway.register(async (pipeline)' },
  },
  {
    sentences: ['the window > '],
    contract:
      'The window opens with the first request and lasts `windowMs`. Neither passed nor refused requests extend it.',
    read: contract,
    hints: [
      'When does a window begin, and who may move its end?',
      'Set the expiry only when there is none: when the counter is new. It is not aligned to the clock, and no later request touches it.',
    ],
    code: { file: 'fixed-window.lua', from: 'if left < 0 then', lines: 5 },
  },
  {
    sentences: ['says in the log who was limited', 'log the refusal as one of the limit stage'],
    contract: 'only when the gateway refused: the stage, as in [errors.md](errors.md).',
    read: 'docs/contract.md#log',
    hints: [
      'What does the log say of a request that was limited?',
      'The usual line, with the status, refusedBy "limit", and the client: it is known by then.',
    ],
    code: { file: 'rate-limit.ts', from: 'const RATE_LIMITED' },
  },
  {
    sentences: ['an address > '],
    contract:
      'Callers without a key have one per address: IPv4 as a whole, IPv4 written as IPv6 is that IPv4, IPv6 by its first 64 bits.',
    read: `${chapter}#traps-it-avoids`,
    hints: [
      'One address can be written in many ways, and one customer can have many addresses.',
      'Parse the address, never compare its text. ::ffff:192.0.2.1, in any spelling, is 192.0.2.1. Of IPv6 expand all eight groups and keep the first four: an IPv6 customer owns a /64.',
    ],
    code: { file: 'rate-limit.ts', from: 'function network(' },
  },
  {
    sentences: ['may be nonsense'],
    contract:
      'Only if the peer is in `trustedProxies`, `X-Forwarded-For` is read, from the right: the first address that is not trusted is the client.',
    read: contract,
    hints: [
      'What a proxy forwards need not be an address. Who is counted then?',
      'If it is no IP address, count for the peer of the connection. Nothing else may come into the name of the bucket, and nothing may break.',
    ],
    code: { file: 'rate-limit.ts', from: 'function bucketOf(' },
  },
  {
    sentences: [
      'X-Forwarded-For from a trusted proxy > is written anew',
      'X-Forwarded-For from a trusted proxy > brings',
      'X-Forwarded-For from a trusted proxy > may be missing',
    ],
    contract:
      'A member that is no address ends the reading, and the peer is counted. The service gets the client first, then the proxies, the peer last. `X-Forwarded-Proto` and `X-Forwarded-Host` of such a proxy are passed on.',
    read: contract,
    hints: [
      'The service wants to know the whole way: who is on it?',
      'Write X-Forwarded-For anew: the client that you found, then the proxies behind it, the peer last. Without the field the proxy itself is the client. X-Forwarded-Proto and X-Forwarded-Host of a trusted proxy are the client’s own: pass them on.',
    ],
    code: { file: 'headers.ts', from: 'export function requestHeaders(' },
  },
  {
    sentences: ['X-Forwarded-For from '],
    contract:
      'The peer of the connection is the client. Only if the peer is in `trustedProxies`, `X-Forwarded-For` is read, from the right: the first address that is not trusted is the client.',
    read: `${chapter}#traps-it-avoids`,
    hints: [
      'Anybody can write X-Forwarded-For. Which part of it do you believe, and why?',
      'Begin with the peer. As long as the address at hand is trusted, step one to the left (several fields are one list); the first that is not trusted is the client. From a peer that is not trusted the field means nothing, and is dropped.',
    ],
    code: { file: 'http-server.ts', from: 'const server = Fastify(' },
  },
  {
    sentences: ['go on where the others stopped', 'ask Redis once per request'],
    contract: 'A request costs one `EVALSHA` with one key.',
    read: contract,
    hints: [
      'Four gateways, one count. How many commands does a request cost?',
      'One script per request: EVALSHA with the bucket as its only key. Nothing for 404 and /health. Learn the script at the start, not on the time of the first request.',
    ],
    code: { file: 'redis.ts', from: 'const FIXED_WINDOW' },
  },
  {
    sentences: ['survive SCRIPT FLUSH', 'limit again soon after it was restarted'],
    contract: 'Redis slow, hung, restarted, flushed, or absent at the start never hangs a request',
    read: contract,
    hints: [
      'Redis may forget a script at any time. What does EVALSHA answer then?',
      'NOSCRIPT means that nothing was counted: send the whole script with EVAL. ioredis does so for a command made with defineCommand.',
    ],
    code: { file: 'redis.ts', from: 'const FIXED_WINDOW' },
  },
  {
    sentences: ['heal a counter'],
    contract: 'Every counter expires; one that has lost its expiry gets a new one.',
    read: `${chapter}#traps-it-avoids`,
    hints: [
      'What becomes of a counter without an expiry? Of its client?',
      'Ask for the time left on every count, not only on the first, and set the expiry whenever there is none. Setting it when the count is 1 leaves one that lost it for ever.',
    ],
    code: { file: 'fixed-window.lua', from: 'if left < 0 then', lines: 5 },
  },
  {
    sentences: ['round the time left', 'never round it down'],
    contract: '429 has `Retry-After` too: the same seconds as `t`, whole, rounded up, at least 1.',
    read: 'docs/errors.md#rate-limited',
    hints: [
      'Whoever waits as long as you said must get through. Which way do you round?',
      'Math.max(1, Math.ceil(leftMs / 1000)), for Retry-After and for t.',
    ],
    code: { file: 'rate-limit.ts', from: 'const seconds', lines: 8 },
  },
  {
    sentences: ['leave nothing in Redis but counters'],
    contract:
      'Redis holds one counter per bucket, and no API key. Every counter expires; one that has lost its expiry gets a new one.',
    read: contract,
    hints: [
      'Look into Redis with KEYS * after a few requests. What stands there that should not?',
      'Only parsed addresses and client ids become part of a key, in exactly these forms, and the script sets an expiry on each.',
    ],
    code: { file: 'rate-limit.ts', from: 'function bucketOf(' },
  },
  {
    sentences: ['stop at SIGTERM while it is'],
    contract:
      'SIGTERM and SIGINT: accept no more connections, close idle ones at once, finish what is in flight, exit with 0.',
    read: 'docs/contract.md#signals',
    hints: [
      'What keeps your process alive when Redis is frozen or gone?',
      'Close the connection without waiting for an answer (disconnect(), not quit()), and let timers of probes not hold the process.',
    ],
    code: { file: 'gateway.ts', from: 'export function buildGateway(' },
  },
  {
    sentences: ['take an error of Redis for a failure'],
    contract:
      '`whenRedisFails` decides about the uncounted: `allow` serves them without the two fields, `reject` answers 503 `rate-limit-unavailable` with `Retry-After`.',
    read: `${chapter}#traps-it-avoids`,
    hints: [
      'Redis may answer, and not with a count. Is that a pass, a refusal, or neither?',
      'Everything but two numbers is a failure, as if Redis were gone. Check the shape of the reply: ioredis-mock answers false to an error, and false <= limit is true.',
    ],
    code: { file: 'redis.ts', from: '#ask(' },
  },
  {
    sentences: ['let earlier stages answer first'],
    contract: 'A request that breaks two rules gets the answer of the earlier stage.',
    read: 'docs/contract.md#refusals',
    hints: [
      'Which refusals need no Redis?',
      'parse, route, identify and access come before limit. Their answers are the same, whether Redis is there or not.',
    ],
    code: { file: 'gateway.ts', from: 'gateway.register(async (pipeline)' },
  },
  {
    sentences: ['a Redis with a password > '],
    contract: 'The key never reaches a service, the log or an error.',
    read: 'docs/contract.md#environment',
    hints: [
      'REDIS_URL holds a secret. Who prints it?',
      'Use user and password of the URL, and never log the URL or an error that quotes it. A wrong password is a Redis that does not count: one line redis lost, and whenRedisFails decides.',
    ],
    code: { file: 'redis.ts', from: '#lose(' },
  },
  {
    sentences: ['a database of Redis > '],
    contract: 'a number behind a slash names the database',
    read: 'docs/contract.md#environment',
    hints: [
      'What does your Redis client do when Redis refuses the database?',
      'ioredis says so in an error event and counts on in database 0. Hang up then and connect anew, so that Redis counts as lost until it agrees, and say the reason in the log, once.',
    ],
    code: { file: 'redis.ts', from: "redis.on('error'" },
  },
  {
    sentences: ['ask no service for a client that left'],
    contract: 'No call is made for a client that has left.',
    read: 'docs/contract.md#phase-1-routing',
    hints: [
      'Your limit stage waits for Redis. What may have happened to the client meanwhile?',
      'The response has closed before the next stage begins, and will not close again: look whether it is destroyed before the call is made, and before a refusal is written.',
    ],
    code: { file: 'forward.ts', from: 'export function forward(' },
  },
  {
    sentences: ['two gateways whose Redis fails > '],
    contract:
      'after 200 ms the request goes on without it, and from then on requests do not wait at all. The gateway asks in the background until Redis answers again.',
    read: contract,
    hints: [
      'A Redis that is down refuses at once; one that hangs says nothing. How long does a request wait for each?',
      'Give each count 200 ms. After the first failure remember that Redis is lost, log redis lost once, and let every request go on at once; ask in the background, and log redis found when it counts again. No offline queue and no retries in the client.',
    ],
    code: { file: 'redis.ts', from: 'async count(' },
  },
  {
    sentences: ['the config > is refused with REDIS_URL'],
    contract:
      'A bad variable, a bad config or a port in use stops the start: exit code 1, nothing listens, one message on stderr, no stack.',
    read: 'docs/contract.md#environment',
    hints: [
      'What does your Redis client make of a URL that is none?',
      'Check REDIS_URL at the start: redis:// or rediss://, a number for a database, or empty for none. Name the variable in the message, and do not repeat its value.',
    ],
    code: { file: 'config.ts', from: 'const environmentSchema' },
  },
  {
    sentences: ['the config > '],
    contract: 'The message lists every bad field with its path, or names host and port.',
    read: 'docs/config.md#what-is-refused',
    hints: [
      'The config has two new sections, trustedProxies and rateLimit. Does your gateway know and demand them?',
      'rateLimit has identified and anonymous, each with limit and windowMs as positive whole numbers, and whenRedisFails, allow or reject. trustedProxies is a list of IP addresses and networks, not /0. Name every fault by its path, such as trustedProxies[1].',
    ],
    code: { file: 'rate-limit.ts', from: 'export const rateLimitSchema' },
    whenItDoesNotStart: true,
  },
];
