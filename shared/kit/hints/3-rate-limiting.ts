import type { HintGroup } from './hint-group.ts';

const chapter = 'phases/3-rate-limiting/README.md';
const contract = 'docs/contract.md#phase-3-rate-limiting';

/** Suite 3. */
export const rateLimitingHints: HintGroup[] = [
  {
    tests: ['counts from the first call on'],
    contract: 'Unset: the counters are in the memory of this process, and the log has a warning',
    read: 'docs/contract.md#environment',
    hints: [
      'The first call after the start is counted. Is the counter ready by then?',
      'Wait at the start for the first reply of Redis, but only for a short time. Without REDIS_URL, count in the memory of the process, and log one line of level warn: embedded redis: limits hold for this one process only.',
    ],
    code: { file: 'redis.ts', from: 'export async function connectRedis(' },
  },
  {
    tests: ['refuses an upload over the limit'],
    contract:
      'So the refusal reaches the client completely, even if the client reads nothing before it has written everything.',
    read: 'docs/contract.md#refusals',
    hints: [
      'A stage that waits for Redis runs while the upload arrives. What reads the upload when the request is refused?',
      'Answer 429 like every refusal, with Connection: close if the body is still arriving, and close the connection in stages.',
    ],
    code: { file: 'problem.ts', from: 'export function sendProblem(' },
  },
  {
    tests: ['of 400 calls at once'],
    contract:
      'Exactly `limit` requests pass per window, however many arrive at once and however many gateways share the Redis.',
    read: contract,
    hints: [
      'Did too many pass, or were calls not counted at all? If too many passed, there is a gap between reading a counter and writing it. If calls were not counted, Redis had replied: did your process read the reply in time?',
      'Count and decide in one step: a Lua script with INCR and the expiry. And a timer fires before a socket is read, so a busy process takes a healthy Redis for a lost one: when the 200 ms are over, let the event loop run once more, with setImmediate, and check whether the reply has arrived.',
    ],
    code: { file: 'fixed-window.ts', from: '#openBatch(' },
  },
  {
    tests: ['when 100 calls come at once'],
    contract:
      'Exactly `limit` requests pass per window, however many arrive at once and however many gateways share the Redis.',
    read: `${chapter}#what-it-does`,
    hints: [
      'Two requests ask at the same moment. What may happen between reading a counter and writing it?',
      'Count and decide in one step: INCR gives every request its own number, and a Lua script runs INCR and the expiry without another command in between. Let the request pass while its number is at most the limit.',
    ],
    code: { file: 'fixed-window.lua', from: 'local window =', lines: 9 },
  },
  {
    tests: [
      'one bucket over all routes',
      'buckets of two clients apart',
      'and the address it comes from apart',
      'apart from the address that is its name',
    ],
    contract:
      'Each client has one bucket for all routes, methods and keys. Callers without a key have one bucket per address',
    read: contract,
    hints: [
      'Which requests are counted together?',
      'Name the bucket after the client id, or after the address of a caller without a key, and after nothing else: no route, no method, no key. The two kinds must not collide: gateway:{client:ID} and gateway:{address:ADDRESS}.',
    ],
    code: { file: 'rate-limit.ts', from: 'function bucketOf(' },
  },
  {
    tests: ['the decision > '],
    contract: 'Further requests get 429 `rate-limited`, and no service is called.',
    read: 'docs/errors.md#rate-limited',
    hints: [
      'At which place in the pipeline is the request counted, and what happens when it is over the limit?',
      'Count it after access and before forward. When its number is above the limit of its class (identified or anonymous), answer 429 rate-limited.',
    ],
    code: { file: 'rate-limit.ts', from: 'export function rateLimit(' },
  },
  {
    tests: ['stand there once when the service sends its own'],
    contract: 'Fields with these names from the service are replaced.',
    read: contract,
    hints: [
      'The service may have a limiter of its own. Whose numbers does the client get?',
      'When the response is written, fields that your stages have set replace those of the service with the same name. All other fields of the service pass, x-ratelimit-* too.',
    ],
    code: { file: 'headers.ts', from: 'export function responseHeaders(' },
  },
  {
    tests: ['the fields > name policy'],
    contract:
      '`RateLimit-Policy: "identified";q=10;w=60` (limit, window in seconds, rounded up) and `RateLimit: "identified";r=9;t=60` (requests left, seconds left).',
    read: contract,
    hints: [
      'Compare the two fields character by character: q and w come from the config, r and t from the counter.',
      'q is the limit, w the window and t the time left. w and t are whole seconds, rounded up from whole milliseconds, so that the first call has t = w. r is what is left after this call.',
    ],
    code: { file: 'rate-limit.ts', from: 'export function rateLimit(' },
  },
  {
    tests: ['the fields > '],
    contract:
      'The answer to every counted request carries two structured fields of draft-ietf-httpapi-ratelimit-headers: `RateLimit-Policy: "identified";q=10;w=60` (limit, window in seconds, rounded up) and `RateLimit: "identified";r=9;t=60` (requests left, seconds left).',
    read: contract,
    hints: [
      'Which responses say how much is left? Not only the successful ones.',
      'Set both fields as soon as the request is counted, so that every response carries them: the one of the service, a 429, a 502 of the gateway. Seconds are rounded up, at least 1; r never falls below 0; 429 also has Retry-After with the same seconds.',
    ],
    code: { file: 'rate-limit.ts', from: 'export function rateLimit(' },
  },
  {
    tests: ['free of charge > '],
    contract: '400, 404, 401 and `/health` use no quota.',
    read: contract,
    hints: [
      'Which requests are refused before they are counted?',
      'The limit stage comes after parse, route, identify and access. What these refuse is not counted and has no RateLimit fields.',
    ],
    code: { file: 'gateway.ts', from: 'gateway.register(async (pipeline)' },
  },
  {
    tests: ['the window > '],
    contract:
      'The window opens with the first request and lasts `windowMs`. Neither passed nor refused requests extend it.',
    read: contract,
    hints: [
      'When does a window begin, and what may move its end?',
      'Set the expiry only when there is none: when the counter is new. The window is not aligned to the clock, and later requests do not change it.',
    ],
    code: { file: 'fixed-window.lua', from: 'local left =', lines: 8 },
  },
  {
    tests: ['says in the log what was decided', 'log what they decided without a count'],
    contract:
      'phase 3 on: the decision of the rate limiter: `allowed`, `limited`, or `degraded_allowed` and `degraded_rejected` for requests that could not be counted. Absent when an earlier stage refused the request',
    read: 'docs/contract.md#log',
    hints: [
      'The limiter has four possible results. Where does the log line get them from?',
      'Keep the decision on the request when it is made, and write it into the line as limit. A request that an earlier stage refused has none: leave the field out.',
    ],
    code: { file: 'rate-limit.ts', from: 'export function rateLimit(' },
  },
  {
    tests: ['says in the log who was limited', 'log the refusal as one of the limit stage'],
    contract: 'only when the gateway refused the request: the stage, as in [errors.md](errors.md).',
    read: 'docs/contract.md#log',
    hints: [
      'What does the log say about a request that was limited?',
      'The usual line, with the status, refusedBy "limit", and the client, which is known by then.',
    ],
    code: { file: 'rate-limit.ts', from: 'const RATE_LIMITED' },
  },
  {
    tests: ['an address > '],
    contract:
      'Callers without a key have one bucket per address: the whole address for IPv4, the IPv4 address for an IPv4-mapped IPv6 address, and the first 64 bits for IPv6.',
    read: `${chapter}#traps-it-avoids`,
    hints: [
      'One address can be written in many ways, and one customer can have many addresses.',
      'Parse the address, never compare its text. ::ffff:192.0.2.1, in any spelling, is 192.0.2.1. Expand an IPv6 address to all eight groups and keep the first four: an IPv6 customer owns a /64.',
    ],
    code: { file: 'address.ts', from: 'function network(' },
  },
  {
    tests: ['may be nonsense'],
    contract:
      'The peer of the connection is the client, unless the peer is in `trustedProxies`. Then the gateway reads `X-Forwarded-For` from the right: the first address that is not trusted is the client.',
    read: contract,
    hints: [
      'What a proxy forwards may not be an address. Which address is counted then?',
      'If it is not an IP address, count the peer of the connection. No other text may get into the name of the bucket, and the request must not fail.',
    ],
    code: { file: 'rate-limit.ts', from: 'function bucketOf(' },
  },
  {
    tests: ['X-Forwarded-For from a trusted proxy > may have ports'],
    contract:
      'A port is no part of an address: `203.0.113.5:50123` and `[2001:db8::1]:443` are read without it.',
    read: contract,
    hints: [
      'Some proxies write the port of their client behind its address. Is the result still an address for your library?',
      'Take the port, and the brackets of IPv6, off each member before you ask whether it is an address, and whether it is trusted. Plain IPv6 has colons, too: 2001:db8::1 has no port.',
    ],
    code: { file: 'trusted-proxies.ts', from: 'function withoutPort(' },
  },
  {
    tests: ['X-Forwarded-For from a trusted proxy > decides about the address in the log'],
    contract:
      'the address of the client, as the rate limiter counts it: IPv4 as a whole, of IPv6 the first 64 bits, such as `2001:db8:0:1::/64`.',
    read: 'docs/contract.md#log',
    hints: [
      'The log and the limiter must agree about the address. Where do you compute it?',
      'Find the client once, when the request begins, and keep it with the request. The log, the limiter and the fields for the service use the same result.',
    ],
    code: { file: 'trusted-proxies.ts', from: 'export function senderBehind(' },
  },
  {
    tests: ['X-Forwarded-Proto, -Host and -Port from trusted proxies > '],
    contract:
      '`X-Forwarded-Proto`, `X-Forwarded-Host` and `X-Forwarded-Port` of a trusted proxy are passed on: the member that belongs to the client.',
    read: contract,
    hints: [
      'Behind two proxies, X-Forwarded-Proto has two members. Which of them is about the connection of the client?',
      'Count the trusted hops while you read X-Forwarded-For from the right, the peer included. Take the member at that place from the right, or the first one of a shorter list. Check it: http or https, a host, a port. Otherwise send the values of your own connection, and no port.',
    ],
    code: { file: 'trusted-proxies.ts', from: 'export function senderBehind(' },
  },
  {
    tests: [
      'X-Forwarded-For from a trusted proxy > is written anew',
      'X-Forwarded-For from a trusted proxy > that has a member which is no address',
      'X-Forwarded-For from a trusted proxy > brings',
      'X-Forwarded-For from a trusted proxy > may be missing',
    ],
    contract:
      'If a member is not an address, reading stops, and the peer is counted. In the `X-Forwarded-For` that the service gets, the client is first, then the proxies, and the peer last; if a member is not an address, there is only the peer.',
    read: contract,
    hints: [
      'The service needs the whole chain of addresses. Which addresses belong to it?',
      'Write a new X-Forwarded-For: the client that you found, then the proxies behind it, the peer last. Without the field, the proxy itself is the client. X-Forwarded-Proto and X-Forwarded-Host of a trusted proxy describe the request of the client: forward them.',
    ],
    code: { file: 'trusted-proxies.ts', from: 'export function senderBehind(' },
  },
  {
    tests: ['X-Forwarded-For from '],
    contract:
      'The peer of the connection is the client, unless the peer is in `trustedProxies`. Then the gateway reads `X-Forwarded-For` from the right: the first address that is not trusted is the client.',
    read: `${chapter}#traps-it-avoids`,
    hints: [
      'Every client can write X-Forwarded-For. Which part of it can you trust, and why?',
      'Begin with the peer. As long as the current address is trusted, go one step to the left (several fields are one list); the first address that is not trusted is the client. From a peer that is not trusted, the field has no meaning and is dropped.',
    ],
    code: { file: 'trusted-proxies.ts', from: 'export function senderBehind(' },
  },
  {
    tests: ['go on where the others stopped', 'ask Redis once per request'],
    contract: 'Each request sends one `EVALSHA` with one key.',
    read: contract,
    hints: [
      'Four gateways share one count. How many commands does a request cost?',
      'Run one script per request: EVALSHA with the bucket as its only key. Send no command for 404 and /health. Load the script at the start, not during the first request.',
    ],
    code: { file: 'redis.ts', from: 'const LUA' },
  },
  {
    tests: ['survive SCRIPT FLUSH', 'limit again soon after it was restarted'],
    contract: 'A Redis that is slow, hung, restarted, flushed, or absent at the start never hangs a request',
    read: contract,
    hints: [
      'Redis may forget a script at any time. What does EVALSHA reply then?',
      'NOSCRIPT means that nothing was counted: send the whole script with EVAL. ioredis does so for a command made with defineCommand.',
    ],
    code: { file: 'redis.ts', from: 'const LUA' },
  },
  {
    tests: ['heal a counter'],
    contract: 'Every counter expires; a counter that has lost its expiry is replaced by a new window.',
    read: `${chapter}#traps-it-avoids`,
    hints: [
      'What happens to a counter without an expiry, and to its client?',
      'Read the time left with every count, before you increment. If there is none, open a new window with SET and PX: count and expiry in one command. With INCR and an expiry only when the count is 1, a counter that has lost its expiry never ends.',
    ],
    code: { file: 'fixed-window.lua', from: 'local left =', lines: 8 },
  },
  {
    tests: ['a gateway started again with a shorter window > '],
    contract:
      'After a start with a shorter `windowMs`, so is a window that lasts longer than that, and `t` is never larger than `w`.',
    read: contract,
    hints: [
      'Counters stay in Redis when the gateway stops. Which config decided when their windows end?',
      'In the script, compare the time left with the windowMs of this call. If it is longer, open a new window. A window that is not longer is left alone.',
    ],
    code: { file: 'fixed-window.lua', from: 'local left =', lines: 8 },
  },
  {
    tests: ['round the time left', 'never round it down'],
    contract:
      '429 also has `Retry-After`: the same number of seconds as `t`, rounded up to a whole number, at least 1.',
    read: 'docs/errors.md#rate-limited',
    hints: [
      'A client that waits as long as you said must get through. In which direction do you round?',
      'Math.max(1, Math.ceil(leftMs / 1000)), for Retry-After and for t.',
    ],
    code: { file: 'rate-limit.ts', from: 'const seconds', lines: 8 },
  },
  {
    tests: ['leave nothing in Redis but counters'],
    contract:
      'Redis holds one counter per bucket, and no API key. Every counter expires; a counter that has lost its expiry is replaced by a new window.',
    read: contract,
    hints: [
      'Look into Redis with KEYS * after a few requests. What is there that should not be there?',
      'Only parsed addresses and client ids become part of a key, in exactly these forms, and the script sets an expiry on each key.',
    ],
    code: { file: 'rate-limit.ts', from: 'function bucketOf(' },
  },
  {
    tests: ['stop at SIGTERM while it is'],
    contract:
      'On SIGTERM, SIGINT or SIGHUP the gateway accepts no more connections, closes idle ones at once, finishes the requests in flight, and exits with 0.',
    read: 'docs/contract.md#signals',
    hints: [
      'What keeps your process alive when Redis hangs or is gone?',
      'Close the connection without waiting for a reply (disconnect(), not quit()), and do not let timers of probes keep the process alive (unref()).',
    ],
    code: { file: 'server.ts', from: 'const stop = async' },
  },
  {
    tests: ['take an error of Redis for a failure'],
    contract:
      '`whenRedisFails` decides about requests that were not counted: `allow` serves them without the two fields, `reject` answers 503 `rate-limit-unavailable` with `Retry-After`.',
    read: `${chapter}#traps-it-avoids`,
    hints: [
      'Redis may reply, but not with a count. Does the request pass, is it refused, or neither?',
      'Everything except two numbers is a failure, as if Redis were gone. Check the type of the reply: ioredis-mock replies false to an error, and false <= limit is true.',
    ],
    code: { file: 'fixed-window.ts', from: '#run(' },
  },
  {
    tests: ['one counter of Redis that cannot count > ', 'an error about one key > '],
    contract:
      'An error about one key (`WRONGTYPE`, a counter that is not a number) degrades the requests of its own bucket only: `whenRedisFails` decides about them, all other buckets are counted, and Redis is not lost.',
    read: contract,
    hints: [
      'Redis replies with an error. Is the error about Redis, or about this one key?',
      'WRONGTYPE and "value is not an integer" are about one key. The request was not counted, so whenRedisFails decides, but do not mark Redis as lost. The same holds for the key with which you check Redis.',
    ],
    code: { file: 'fixed-window.ts', from: 'async count(' },
  },
  {
    tests: ['two gateways whose Redis moves to another server > limit again'],
    contract:
      'After a failover the gateway counts again within 2 s from the moment at which a new connection leads to the new primary.',
    read: contract,
    hints: [
      'The old primary is a replica now. Its connections are still open, and it answers every command. What is the answer, and when does it change?',
      'A replica answers READONLY to every write on this connection. Close the connection and open a new one: the new one looks the name up again, and reaches the new primary.',
    ],
    code: { file: 'fixed-window.ts', from: 'async #reconnect(' },
  },
  {
    tests: ['two gateways whose Redis moves to another server > '],
    contract:
      '`whenRedisFails` decides about requests that were not counted: `allow` serves them without the two fields, `reject` answers 503 `rate-limit-unavailable` with `Retry-After`.',
    read: contract,
    hints: [
      'Redis is a replica now, and refuses to write. Which requests are counted?',
      'None. An error instead of a count is a failure, so whenRedisFails decides, as when Redis does not answer.',
    ],
    code: { file: 'fixed-window.ts', from: 'async count(' },
  },
  {
    tests: ['let earlier stages answer first'],
    contract: 'A request that breaks two rules gets the answer of the earlier stage.',
    read: 'docs/contract.md#refusals',
    hints: [
      'Which refusals need no Redis?',
      'parse, route, identify and access come before limit. Their responses are the same with and without Redis.',
    ],
    code: { file: 'gateway.ts', from: 'gateway.register(async (pipeline)' },
  },
  {
    tests: ['a Redis with a password > '],
    contract: 'The key is never sent to a service and never appears in the log or in an error.',
    read: 'docs/contract.md#environment',
    hints: [
      'REDIS_URL contains a secret. What could print it?',
      'Use the user and password of the URL, and never log the URL or an error that quotes it. With a wrong password Redis cannot count: log redis lost once, and let whenRedisFails decide.',
    ],
    code: { file: 'fixed-window.ts', from: '#markDown(' },
  },
  {
    tests: ['a database of Redis > '],
    contract: 'a number after the slash selects the database',
    read: 'docs/contract.md#environment',
    hints: [
      'What does your Redis client do when Redis refuses the database?',
      'ioredis sends commands behind its SELECT, and continues in database 0 when that fails. Send SELECT yourself, and use the connection only when Redis has accepted it.',
    ],
    code: { file: 'redis.ts', from: 'export async function openConnection(' },
  },
  {
    tests: ['ask no service for a client that left'],
    contract: 'No call is made for a client that has already disconnected.',
    read: 'docs/contract.md#phase-1-routing',
    hints: [
      'Your limit stage waits for Redis. What may have happened to the client meanwhile?',
      'If the response has closed before the next stage begins, its close event does not come again: check whether the response is destroyed before you make the call, and before you write a refusal.',
    ],
    code: { file: 'forward.ts', from: 'export function forward(' },
  },
  {
    tests: ['that breaks at the moment of its refusal'],
    contract: '`refusedBy` | only when the gateway refused the request: the stage',
    read: 'docs/contract.md#log',
    hints: [
      'Two causes refuse one request: the limit, and a chunk that the parser cannot read. Which of them does the client see?',
      'The first refusal wins. When a refusal has been written or is about to be, a later error of the parser changes neither the response nor the line of the log.',
    ],
    code: { file: 'refuse-unparsed.ts', from: 'function refuseBehind(' },
  },
  {
    tests: ['is asked for on new connections only'],
    contract:
      'While Redis is lost, the gateway opens a new connection, which looks the name up again, until one can count. The pauses between attempts grow from 250 ms to 1 s.',
    read: contract,
    hints: [
      'How often do you try to reach a lost Redis, and what happens when a hundred gateways do?',
      'Close the connection after each failed attempt. Double the pause before the next one, up to 1 s, and leave out a random part of it.',
    ],
    code: { file: 'fixed-window.ts', from: 'async #reconnect(' },
  },
  {
    tests: ['an answer of Redis that says it cannot count > '],
    contract: 'or when it answers that it cannot count at all',
    read: contract,
    hints: [
      'Redis answers, but with an error that every command gets. When does this end on the same connection?',
      'READONLY, LOADING, NOAUTH and the like mark Redis as lost at once. Open new connections until one counts: after a failover only a new one leads to the new primary.',
    ],
    code: { file: 'redis.ts', from: 'export function isOutage(' },
  },
  {
    tests: ['late answers of Redis > are counted when the process'],
    contract:
      'An answer that has arrived when the 200 ms end still counts, even if the process was too busy or paused to read it earlier.',
    read: `${chapter}#traps-it-avoids`,
    hints: [
      'A paused process continues: its timers are due, and answers are in the socket. What does it look at first?',
      'A timer runs before the socket is read. Judge in setImmediate, which runs after the read, and use no timeout of the Redis client.',
    ],
    code: { file: 'fixed-window.ts', from: '#openBatch(' },
  },
  {
    tests: ['late answers of Redis > '],
    contract:
      'A late answer costs its own request only. Redis is lost when nothing has arrived from it for 500 ms although a command waits',
    read: contract,
    hints: [
      'A Redis that forks pauses for a moment. How many answers are late at 1,000 requests per second, and is Redis lost?',
      'Keep two times apart: the 200 ms of one request, and the 500 ms without any answer after which Redis is lost.',
    ],
    code: { file: 'fixed-window.ts', from: '#openBatch(' },
  },
  {
    tests: ['a connection that Redis closes > '],
    contract:
      'When Redis closes an idle connection, the gateway connects again and logs nothing. A request that arrives meanwhile waits for the new connection, within its 200 ms, and is counted. If the new connection fails, Redis is lost, also without a request.',
    read: contract,
    hints: [
      'A closed connection may be an outage or housekeeping. What tells them apart?',
      'Connect again at once, and let requests wait for it. Redis is lost when that fails, or when it closes the new connection too.',
    ],
    code: { file: 'fixed-window.ts', from: '#use(' },
  },
  {
    tests: ['the cause of an outage > '],
    contract:
      '`redis lost` has the cause as `reason`: the refused connection, the unknown name, the answer of Redis, the failed TLS handshake.',
    read: contract,
    hints: [
      'The error of a command says that there is no connection. Which error says why?',
      'ioredis emits an error event with the cause. Keep it. An AggregateError has its causes in errors, and OpenSSL its words in reason. Never log the URL.',
    ],
    code: { file: 'outage-log.ts', from: 'function inWords(' },
  },
  {
    tests: ['an outage that comes and goes > '],
    contract:
      'When Redis is lost again within 10 s of the last line, the changes are counted; 10 s after that line the log has one line with the state and their number in `changes`.',
    read: contract,
    hints: [
      'Redis is lost and found several times per second. What does the operator need to know?',
      'Start a timer of 10 s with each line. While it runs, count the changes, except the first found after a line that says lost. When it ends, log the state if anything has changed.',
    ],
    code: { file: 'outage-log.ts', from: 'note(' },
  },
  {
    tests: ['a real Redis > counts for a user', 'a password that it does not ask for'],
    contract: 'stderr stays empty unless the start fails.',
    read: 'docs/config.md#redis',
    hints: [
      'Which commands does your Redis client send by itself, and what does it print when Redis refuses them?',
      'The user may run EVALSHA, EVAL, PTTL, INCR, SET, SELECT and CLUSTER INFO. Switch off the ready check and the client info of ioredis, and send AUTH yourself.',
    ],
    code: { file: 'redis.ts', from: 'const OPTIONS' },
  },
  {
    tests: [
      'that is a node of a cluster',
      'that is a replica',
      'a gateway whose Redis is replaced by a node of a cluster > ',
    ],
    contract:
      'When `REDIS_URL` names a node of a Redis Cluster or a replica, the gateway does not start, and one message says why.',
    read: contract,
    hints: [
      'A node of a cluster counts some keys, and answers MOVED for the others. How can you tell at the start?',
      'CLUSTER INFO is an error on a Redis that is not a cluster. When there is an answer with cluster_state, or READONLY to the first count, do not start. Ask on every new connection: later Redis stays lost.',
    ],
    code: { file: 'redis.ts', from: 'async function refuseToCount(' },
  },
  {
    tests: ['counts apart for gateways with different prefixes'],
    contract: 'Gateways with different prefixes do not count together.',
    read: 'docs/config.md#redis',
    hints: [
      'Two environments share one Redis. Which keys do they have in common?',
      'rateLimit.keyPrefix begins every key, also that of the check. Its default is gateway.',
    ],
    code: { file: 'redis.ts', from: 'export async function connectRedis(' },
  },
  {
    tests: ['two gateways whose Redis fails > '],
    contract:
      'after 200 ms the request continues without Redis, and while Redis is lost requests do not wait at all.',
    read: contract,
    hints: [
      'A Redis that is down refuses the connection at once; one that hangs sends nothing. How long does a request wait in each case?',
      'Give each count 200 ms. When the connection cannot be opened, or nothing has arrived for 500 ms, store that Redis is lost, log redis lost once, and let every request go on at once. Connect in the background, and log redis found when Redis counts again. Use no offline queue and no retries in the Redis client.',
    ],
    code: { file: 'fixed-window.ts', from: 'async count(' },
  },
  {
    tests: ['the config > is refused with REDIS_URL'],
    contract:
      'With a bad variable, a bad config or a port in use, the gateway does not start: exit code 1, nothing listens, one message on stderr, no stack trace.',
    read: 'docs/contract.md#environment',
    hints: [
      'What does your Redis client make of an invalid URL?',
      'Check REDIS_URL at the start: redis:// or rediss://, with a number after the slash for the database, or without one. Name the variable in the message, and do not print its value.',
    ],
    code: { file: 'config.ts', from: 'const environmentSchema' },
  },
  {
    tests: ['the config > '],
    contract: 'The message lists every bad field with its path, or names host and port.',
    read: 'docs/config.md#what-is-refused',
    hints: [
      'The config has two new sections, trustedProxies and rateLimit. Does your gateway know and require them?',
      'rateLimit has identified and anonymous, each with limit and windowMs as positive whole numbers, and whenRedisFails, allow or reject. trustedProxies is a list of IP addresses and networks, not /0. Name every mistake by its path, such as trustedProxies[1].',
    ],
    code: { file: 'rate-limit.ts', from: 'export const rateLimitSchema' },
    whenItDoesNotStart: true,
  },
];
