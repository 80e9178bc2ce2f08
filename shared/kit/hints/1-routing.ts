import type { HintGroup } from '../hints.ts';

const chapter = 'phases/1-routing/README.md';
const contract = 'docs/contract.md#phase-1-routing';

/** Suite 1, from its general sentences to the odd ones. */
export const hints: HintGroup[] = [
  {
    sentences: ['a method > TRACE', 'a method > CONNECT'],
    contract:
      'Every method Node can parse is forwarded, OPTIONS and HEAD included. TRACE and CONNECT are not.',
    read: contract,
    hints: [
      'Which methods must a proxy not pass on, because of what they ask of the proxy itself?',
      'TRACE would show the client what the gateway tells the service, so it gets 404 like a path without a route. CONNECT asks for a tunnel: a server that does not know it closes the connection, as Node does by itself.',
    ],
    code: { file: 'route.ts', from: 'export const PROXIED_METHODS' },
  },
  {
    sentences: ['a method > '],
    contract:
      'Every method Node can parse is forwarded, OPTIONS and HEAD included. TRACE and CONNECT are not.',
    read: contract,
    hints: [
      'Does anything in your gateway decide by the method? A framework often does, before your code runs.',
      'Pass the method on as it came. Whether there is a body tells the framing (Content-Length, Transfer-Encoding), not the method: a GET may have one. The answer to HEAD keeps its Content-Length and has no body.',
    ],
    code: { file: 'http-server.ts', from: 'for (const method of PROXIED_METHODS)' },
  },
  {
    sentences: [
      'a request body > begins to arrive',
      'a request body > waits',
      'an answer > waits',
      'an answer > may begin',
      'memory > ',
    ],
    contract:
      'Bodies of any type and size stream both ways, unparsed and unbuffered, with back-pressure: when one side does not read, the other waits.',
    read: contract,
    hints: [
      'Is a body ever held as a whole, or faster taken in than given away?',
      'Pipe each body chunk by chunk. When write() returns false, stop reading the other side until the drain event. Both directions run at the same time: an answer may begin while the upload goes on.',
    ],
    code: { file: 'forward.ts', from: 'onResponseData(' },
  },
  {
    sentences: ['a request body > '],
    contract:
      'Bodies of any type and size stream both ways, unparsed and unbuffered, with back-pressure: when one side does not read, the other waits.',
    read: `${chapter}#traps-it-avoids`,
    hints: [
      'Who touches the body before the service sees it? Frameworks parse what looks like JSON, text or a form.',
      'Switch every body parser off and hand the raw stream on. Keep Content-Type and Content-Length as they came. A body of unknown length comes in chunks and leaves in chunks; trailers are dropped.',
    ],
    code: { file: 'forward.ts', from: 'constructor(request: FastifyRequest' },
  },
  {
    sentences: ['an answer > of events'],
    contract: 'Header fields do not wait for the first byte of the body.',
    read: contract,
    hints: [
      'When do the header fields of an answer leave your gateway?',
      'A server that is only told the header fields keeps them until the first byte of the body. An event stream may be quiet for minutes: send the fields as soon as they are there.',
    ],
    code: { file: 'forward.ts', from: 'onResponseStart(' },
  },
  {
    sentences: [
      'an answer > 204',
      'an answer > 304',
      'an answer > of no length',
      'an answer > after interim ones',
    ],
    contract:
      'Status, 204, 304, HEAD with its length, redirects, compressed bodies, ranges, event streams and repeated fields such as `Set-Cookie` pass untouched.',
    read: `${chapter}#traps-it-avoids`,
    hints: [
      'How does one know where an answer ends? There are more ways than Content-Length.',
      '204, 304 and answers to HEAD end with their header fields, whatever Content-Length says. 1xx answers come before the real one and are dropped. Without a length and without chunks the end of the connection is the end of the answer.',
    ],
    code: { file: 'forward.ts', from: 'onResponseStart(' },
  },
  {
    sentences: ['an answer > of a connection that ends before the client reads'],
    contract:
      'A service that closes its connection when it has answered, however slowly the client reads: the answer arrives complete, and nobody else notices.',
    read: `${chapter}#traps-it-avoids`,
    hints: [
      'The service has sent all and is gone; the client reads the last bytes a second later. Who holds them meanwhile, and what does your HTTP client do when a connection ends while it is told to wait?',
      'When nobody else gets an answer any more, look at the exit code: undici 7 fails an assertion when a connection ends while its parser is paused. Let the socket end only when all has been read.',
    ],
    code: { file: 'connect.ts', from: 'function holdEndBack(' },
  },
  {
    sentences: ['an answer > '],
    contract:
      'Status, 204, 304, HEAD with its length, redirects, compressed bodies, ranges, event streams and repeated fields such as `Set-Cookie` pass untouched.',
    read: contract,
    hints: [
      'An answer of the service is not yours to judge: pass it on, whatever its status.',
      'HTTP clients follow redirects, decompress bodies and throw at 4xx unless they are told not to. Use one that does none of it, and copy status, fields and bytes.',
    ],
    code: { file: 'headers.ts', from: 'export function answerHeaders(' },
  },
  {
    sentences: ['many requests > '],
    contract:
      'Bodies of any type and size stream both ways, unparsed and unbuffered, with back-pressure: when one side does not read, the other waits.',
    read: contract,
    hints: [
      'What do two requests in your gateway share? And what should they share?',
      'Nothing of one request may stand in a variable of the module. The connections to a service are shared: keep them alive in a pool or an agent, one per service.',
    ],
    code: { file: 'forward.ts', from: 'export function openPool(' },
  },
  {
    sentences: ['a service that cannot be reached > '],
    contract: 'No connection: 502 `upstream-unreachable`.',
    read: 'docs/errors.md#upstream-unreachable',
    hints: [
      'What does your client report when nobody listens, when the name is unknown, when connecting takes too long?',
      'Before there is a connection, every error is 502 upstream-unreachable, except that time is up: 504. The error text stays inside, for it names addresses. An upload that was under way is still read to its end and thrown away, or the next request on that connection is lost.',
    ],
    code: { file: 'forward.ts', from: 'function problemOf(' },
  },
  {
    sentences: ['a service behind TLS > '],
    contract: 'TLS certificates of services are verified.',
    read: contract,
    hints: [
      'Is there anything in your code that switches the verification of certificates off?',
      'Leave the defaults of the TLS library alone, and let https:// URLs use it. A certificate that nobody vouches for makes no connection: 502 upstream-unreachable.',
    ],
    code: { file: 'forward.ts', from: 'export function openPool(' },
  },
  {
    sentences: ['is never asked twice', 'is asked once, and its answer passes'],
    contract: '**The gateway never retries**, whatever the method.',
    read: `${chapter}#traps-it-avoids`,
    hints: [
      'Count the calls that reach the service. Who makes the second one?',
      'Many HTTP clients and proxy libraries retry by themselves: after a reset of a kept connection, or after 503 with Retry-After. Switch that off, or use a client that has no retries.',
    ],
    code: { file: 'forward.ts', from: 'export function forward(' },
  },
  {
    sentences: ['a service that answers badly > '],
    contract:
      'Closed or reset before an answer: 502 `upstream-reset`. An answer that is not HTTP, over 16 KiB of header fields, a status outside 100 to 599, or a `Transfer-Encoding` other than `chunked`: 502 `upstream-invalid`.',
    read: 'docs/errors.md#upstream-invalid',
    hints: [
      'A service may break off, or talk nonsense. Which of the two does your client report, and how does it name it?',
      'Sort the errors of your client: what its parser complains of is upstream-invalid, a connection that ended is upstream-reset. Look at the status yourself: parsers let 099 and 999 pass. A 101 is garbage, for nobody asked. Your client undoes chunks; a body that is also gzip below them would pass without the field that says so.',
    ],
    code: { file: 'forward.ts', from: 'function problemOf(' },
  },
  {
    sentences: ['an answer that is cut short > '],
    contract:
      "An answer that breaks off after its header fields: the client's connection is cut, never ended cleanly.",
    read: 'docs/errors.md#upstream-reset',
    hints: [
      'The status is out already when the body breaks off. How can the client still learn that it has half an answer?',
      'Destroy the connection to the client when the answer of the service fails. Ending it cleanly (end(), or a pipe that closes both sides) writes the last chunk and makes half an answer look whole.',
    ],
    code: { file: 'forward.ts', from: 'onResponseError(' },
  },
  {
    sentences: [
      'is not blamed while',
      'still has its whole time',
      'after a slow upload that it does not answer',
      'only has to begin in time',
    ],
    contract:
      'No header fields within `timeoutMs` after the request was complete: 504 `upstream-timeout`. While a client uploads slowly, the service is not to blame, and the time does not run.',
    read: 'docs/errors.md#upstream-timeout',
    hints: [
      'From when on is the service the one that takes long?',
      'Begin the time anew when the whole request has gone to the service. When it is up during an upload, ask who is waiting: the service for the client, or did bytes move since the last time? Then go on. When the header fields are there, stop the timer: a slow body is no timeout.',
    ],
    code: { file: 'forward.ts', from: '#isUploading(' },
  },
  {
    sentences: ['a service that takes too long > '],
    contract: 'No header fields within `timeoutMs` after the request was complete: 504 `upstream-timeout`.',
    read: 'docs/errors.md#upstream-timeout',
    hints: [
      'Who watches the clock while the service says nothing?',
      'Start a timer of your own per call: those of HTTP clients are often coarse, or begin anew with every byte. When it fires, cancel the call and answer 504. 1xx answers do not count as an answer. What comes later must reach nobody.',
    ],
    code: { file: 'forward.ts', from: '#late(' },
  },
  {
    sentences: ['a client that leaves > is logged'],
    contract: 'what the client got. 499: it left before the answer was complete',
    read: 'docs/contract.md#log',
    hints: [
      'When is the log line written, and does that moment come when the client is gone?',
      'Write it when the response closes, not when it finishes: only the first always happens. If it had not finished by then, the status is 499.',
    ],
    code: { file: 'access-log.ts', from: 'export function accessLog(' },
  },
  {
    sentences: ['a client that leaves > '],
    contract: 'The client leaves: the call to the service is cancelled at once.',
    read: `${chapter}#traps-it-avoids`,
    hints: [
      'Which event tells you that the client is gone, and does it also come before the first byte of the answer?',
      'Listen for the close of the connection (in Node: of the response), and cancel the call to the service there. A half-sent upload must not look complete: cut it. Of pipelined requests Node tells only the first one, so pass the news on to all.',
    ],
    code: { file: 'forward.ts', from: '#close(' },
  },
  {
    sentences: ['a service that answers before it has the whole request > '],
    contract: 'The connection stays usable, also when a refused upload is still on its way.',
    read: `${chapter}#traps-it-avoids`,
    hints: [
      'The answer is there, and the client is still sending. What happens to the rest of its upload?',
      'Pass the answer on at once, and read the rest of the upload to its end without keeping it. A request that nobody reads blocks the connection. An error of the upload after the answer has begun is no failure.',
    ],
    code: { file: 'forward.ts', from: 'constructor(request: FastifyRequest' },
  },
  {
    sentences: ['keep bytes outside ASCII', 'keep the bytes of a file name'],
    contract:
      'Status, 204, 304, HEAD with its length, redirects, compressed bodies, ranges, event streams and repeated fields such as `Set-Cookie` pass untouched.',
    read: `${chapter}#traps-it-avoids`,
    hints: [
      'In which encoding are header fields read, and in which are they written?',
      'Header fields are bytes. Read as latin1 and written as latin1 they keep every byte; UTF-8 on one side doubles some. Node writes a Content-Disposition as UTF-8 when it stands behind Content-Length, so write the length last.',
    ],
    code: { file: 'headers.ts', from: 'export function answerHeaders(' },
  },
  {
    sentences: ['of almost 16 KiB pass'],
    contract: 'Request line and header fields over 16 KiB together: 431 `headers-too-large`.',
    read: 'docs/errors.md#headers-too-large',
    hints: [
      'How large may the header fields be, for your server and for your client?',
      'Set the limit of both to 16 KiB, and add little: what the gateway adds counts when the service reads it.',
    ],
    code: { file: 'http-server.ts', from: 'const server = Fastify(' },
  },
  {
    sentences: ['request fields > '],
    contract: 'Fields of one connection stop in both directions (RFC 9110 7.6.1 and 11.7)',
    read: contract,
    hints: [
      'Some fields speak of one connection only. Which, and where does the list of the others stand?',
      'Drop the hop-by-hop fields and every field that Connection lists (several fields, several names, any letter case). Keep all others with every value in its order. Content-Length stays whatever Connection says: it frames the body.',
    ],
    code: { file: 'headers.ts', from: 'export function requestHeaders(' },
  },
  {
    sentences: ['what the gateway tells the service > '],
    contract:
      'The service gets its own `Host`; `X-Forwarded-For` with the address of the client, `X-Forwarded-Proto`, `X-Forwarded-Host` with the host that was asked; and one more member in `Via`, the version and a name: `1.1 phased-gateway`.',
    read: contract,
    hints: [
      'What may a client claim about itself, and what does only the gateway know?',
      'Drop what the client says in X-Forwarded-*, Forwarded and X-Real-IP (underscores count as dashes), then write your own. Write them after the fields that Connection names are gone, so that nobody can take them away. Via is added to, not replaced.',
    ],
    code: { file: 'headers.ts', from: 'export function requestHeaders(' },
  },
  {
    sentences: ['Expect: 100-continue > '],
    contract:
      '`Expect: 100-continue` is answered by the gateway once there is a connection to the service; a refused request gets its refusal instead.',
    read: `${chapter}#traps-it-avoids`,
    hints: [
      'Who answers Expect: the server library by itself, the service, or you?',
      'Take it over (in Node: the events checkContinue and checkExpectation), never pass the field on, and write 100 when the connection to the service stands. An Expect of another kind is dropped and breaks nothing.',
    ],
    code: { file: 'forward.ts', from: 'onRequestStart(' },
  },
  {
    sentences: ['answer fields > Connection: close'],
    contract: 'Fields of one connection stop in both directions (RFC 9110 7.6.1 and 11.7)',
    read: contract,
    hints: [
      'There are two connections. Whose is it that Connection: close ends?',
      'Drop Connection from both sides. Your server writes its own for the client, your client its own for the service.',
    ],
    code: { file: 'headers.ts', from: 'const HOP_BY_HOP' },
  },
  {
    sentences: ['answer fields > '],
    contract: 'Fields of one connection stop in both directions (RFC 9110 7.6.1 and 11.7)',
    read: contract,
    hints: [
      'The rules for fields hold in both directions. Which does your gateway drop from answers?',
      'Drop the hop-by-hop fields and what Connection lists, keep the rest: repeated fields stay repeated (Set-Cookie cannot be joined), Date and Server are those of the service. Never write a Trailer field beside Content-Length: Node ends the process for it.',
    ],
    code: { file: 'headers.ts', from: 'export function answerHeaders(' },
  },
  {
    sentences: ['a field behind 1,200 others > '],
    contract: 'Below that every field counts, however many there are.',
    read: `${chapter}#traps-it-avoids`,
    hints: [
      'Many short fields are few bytes. How many of them does your server show you, and which does its parser obey all the same?',
      'Lift the limit on their number (in Node: maxHeadersCount, 1,000 by default); 16 KiB bound them. The service may have such a limit too: send what you say yourself first, then the fields of the client, then Via.',
    ],
    code: { file: 'http-server.ts', from: 'server.server.maxHeadersCount' },
  },
  {
    sentences: ['a log that nobody takes > '],
    contract:
      'A full disk, or a reader of stdout that takes nothing for half a second, costs lines of the log, no request, and not the stop.',
    read: 'docs/contract.md#log',
    hints: [
      'Who waits when a line of the log cannot be written?',
      'Nobody must: write in the background, drop lines beyond some megabytes, and listen to the errors of stdout. Before the end write the last lines as long as the reader takes some, and give up when it has taken none for half a second: a logger that flushes at exit may try for ever. A start that fails ends in the same way.',
    ],
    code: { file: 'server.ts', from: 'const stdout = pino.destination' },
  },
  {
    sentences: ['because of one field over 16 KiB', 'because of many fields over 16 KiB'],
    contract: 'Request line and header fields over 16 KiB together: 431 `headers-too-large`.',
    read: 'docs/errors.md#headers-too-large',
    hints: [
      'The parser gives up before there is a request. Who answers then?',
      'Set the limit to 16 KiB and handle the parser error (in Node: the event clientError, code HPE_HEADER_OVERFLOW) by writing the 431 problem to the socket yourself.',
    ],
    code: { file: 'well-formed.ts', from: 'export function refuseUnparsed(' },
  },
  {
    sentences: ['a request that is not proper HTTP > '],
    contract:
      'A target that could mean two things gets 400 `bad-request`, and no service is called: dot segments in any spelling, a backslash in the path, `#`, a broken escape, two `Host` fields, none in HTTP/1.1, a length beside `Transfer-Encoding`, two lengths, a `Transfer-Encoding` other than `chunked`.',
    read: 'docs/errors.md#bad-request',
    hints: [
      'Two servers that read one request in two ways can be played off against each other. What does your parser let pass?',
      'Broken framing is refused by the parser: answer its errors with the 400 problem and close. Count the Host fields in the raw list, for a parsed one keeps the first and says nothing; and look at what the one holds.',
    ],
    code: { file: 'well-formed.ts', from: 'export function wellFormed(' },
  },
  {
    sentences: ['one connection > '],
    contract: 'HTTP/1.1 and 1.0 only, without TLS at the front.',
    read: 'docs/contract.md#limits-of-these-phases',
    hints: [
      'A client may send the next request before it has an answer, or speak HTTP/1.0. Does your server library see to that?',
      'Answer through the response object of the library, not through the socket: then the order is kept, and HTTP/1.0 gets no chunks. Never copy Transfer-Encoding from the service.',
    ],
    code: { file: 'headers.ts', from: 'export function answerHeaders(' },
  },
  {
    sentences: ['a prefix > ends at', 'a prefix > is case-sensitive', 'a prefix > may begin like /health'],
    contract:
      'A prefix matches whole segments: `/api/orders` takes `/api/orders` and `/api/orders/…`, not `/api/ordersX`. Letter case counts.',
    read: contract,
    hints: [
      'What must stand behind a prefix so that it matches?',
      'Split path and prefix at the slashes and compare segment by segment. startsWith() takes /api/ordersX for /api/orders.',
    ],
    code: { file: 'route.ts', from: 'export function findRoute(' },
  },
  {
    sentences: ['a prefix > that is longer'],
    contract: 'The longest prefix wins, whatever the order in the config.',
    read: contract,
    hints: [
      'Two routes match. Which of them is meant?',
      'Sort the routes by the number of their segments, longest first, or walk a tree and remember the deepest route. The order in the config must not count.',
    ],
    code: { file: 'route.ts', from: 'export function findRoute(' },
  },
  {
    sentences: [
      'a prefix > matches in any spelling',
      'a prefix > in another spelling',
      'a prefix > is not matched across',
    ],
    contract: 'An escaped letter is that letter: `/%61pi/orders` is on the route `/api/orders`.',
    read: contract,
    hints: [
      'Which part of the target is compared, and which is passed on? Only one of them may be decoded.',
      'Split the raw path at its slashes first, then decode each segment for the comparison: so %2F never separates. What follows the prefix is cut out of the raw target.',
    ],
    code: { file: 'route.ts', from: 'return (request: FastifyRequest' },
  },
  {
    sentences: ['a prefix > '],
    contract:
      'The prefix is taken off once, from the front, and the path of the service URL is put there instead. The rest, with the query, arrives byte for byte: `/api/orders?x=1` as `/?x=1`, `%2F` as `%2F`.',
    read: contract,
    hints: [
      'What takes the place of the prefix, and what when nothing is left?',
      'Target for the service: path of its URL (a bare / counts as nothing), then what follows the prefix, query included. If that does not begin with a slash, put one in front: /api/orders?x=1 is /?x=1.',
    ],
    code: { file: 'route.ts', from: 'return (request: FastifyRequest' },
  },
  {
    sentences: ['the rest of the target > ', 'a raw byte outside ASCII > '],
    contract: 'The rest, with the query, arrives byte for byte',
    read: contract,
    hints: [
      'Does the target pass through a URL parser on its way? Parsers clean up what they parse.',
      'Cut the rest out of the target as it came, with string operations. No new URL(), no decoding and encoding again, no parsed query. Give the HTTP client a path, not a URL, so that //evil.example stays a path.',
    ],
    code: { file: 'route.ts', from: 'return (request: FastifyRequest' },
  },
  {
    sentences: ['a dot segment > ', 'a target > with ', 'a target > of *'],
    contract:
      'A target that could mean two things gets 400 `bad-request`, and no service is called: dot segments in any spelling, a backslash in the path, `#`, a broken escape, two `Host` fields, none in HTTP/1.1, a length beside `Transfer-Encoding`, two lengths, a `Transfer-Encoding` other than `chunked`.',
    read: 'docs/errors.md#bad-request',
    hints: [
      'In how many spellings can one write two dots between slashes?',
      'Refuse before routing: look at the raw path (not the query) for one or two dots between separators, where a dot may be %2e, a separator / %2f %5c or a backslash, and a segment may end at ";". Also refuse #, a target without a leading slash, and an escape that is none.',
    ],
    code: { file: 'well-formed.ts', from: 'const DOT_SEGMENT' },
  },
  {
    sentences: ['a target > that no prefix matches'],
    contract: 'No route: 404 `no-route`, and no service is called.',
    read: 'docs/errors.md#no-route',
    hints: [
      'What does a request get that no route is for, and who writes that answer?',
      'Answer 404 as application/problem+json with the type urn:gateway:problem:no-route, for every method, at once. Look routes up in a Map or by comparing segments: a plain object has a constructor.',
    ],
    code: { file: 'route.ts', from: 'const NO_ROUTE' },
  },
  {
    sentences: ['a target > that is refused leaves'],
    contract: 'The connection stays usable, also when a refused upload is still on its way.',
    read: 'docs/contract.md#refusals',
    hints: [
      'Three requests on one connection, two refused. Does the third still get its answer?',
      'A refusal is an answer like any other, with its Content-Length. Do not close the connection for it; only what the parser itself refuses ends it.',
    ],
    code: { file: 'problem.ts', from: 'export function sendProblem(' },
  },
  {
    sentences: ['health and log > GET /health', 'health and log > /health is not logged'],
    contract:
      'The gateway is ready when `GET /health` answers 200 `{"status":"ok"}`. That needs no key, no Redis and no service, uses no quota and is not logged. No route can hide it. Only GET and HEAD are this check; any other method is a request like others.',
    read: 'docs/contract.md#environment',
    hints: [
      'The health check stands beside the pipeline, not in it.',
      'Answer GET /health before anything else is asked, as application/json, and leave it out of the log.',
    ],
    code: { file: 'gateway.ts', from: "gateway.get('/health'" },
  },
  {
    sentences: ['health and log > '],
    contract: 'stdout is JSON, one object per line',
    read: 'docs/contract.md#log',
    hints: [
      'Who reads the log? A program. What must a line have so that it can count?',
      'One JSON object per line and per finished request, with the fields of the table. The path goes without its query. A refusal names its stage in refusedBy. What the parser refuses makes no line. Nothing else may write to stdout, and nothing to stderr.',
    ],
    code: { file: 'access-log.ts', from: 'export function accessLog(' },
  },
  {
    sentences: ['a signal to stop > '],
    contract:
      'SIGTERM and SIGINT: accept no more connections, close idle ones at once, finish what is in flight, exit with 0.',
    read: 'docs/contract.md#signals',
    hints: [
      'What may still happen after the signal, what must not, and what ends the waiting?',
      'Close the listener, close idle connections (also those on which nothing is sent, which Node does not call idle; but the first request of one may be on its way, so give it half a second), answer what is in flight with Connection: close, exit with 0 when all is done, and cut off the rest after 10 s. A wrapper such as a shell script must hand the signal on.',
    ],
    code: { file: 'server.ts', from: 'const stop = async' },
  },
  {
    sentences: ['environment > '],
    contract:
      'A bad variable, a bad config or a port in use stops the start: exit code 1, nothing listens, one message on stderr, no stack.',
    read: 'docs/contract.md#environment',
    hints: [
      'Everything a gateway must know comes by environment. What when it is wrong?',
      'Check PORT and LOG_LEVEL before anything starts. Print one message to stderr that names the variable, or host and port, and exit with 1. With PORT=0 log the port that was picked.',
    ],
    code: { file: 'config.ts', from: 'const environmentSchema' },
  },
  {
    sentences: ['a bad config > '],
    contract: 'The message lists every bad field with its path, or names host and port.',
    read: 'docs/config.md#what-is-refused',
    hints: [
      'An operator mends a config once, or ten times: how many mistakes does one message name?',
      'Collect all faults instead of throwing at the first: missing fields, unknown fields, wrong values, names that lead nowhere, repeated prefixes. One line each, beginning with the path of the field, such as routes[2].prefix: …',
    ],
    code: { file: 'config.ts', from: 'function check<' },
    whenItDoesNotStart: true,
  },
];
