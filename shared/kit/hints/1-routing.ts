import type { HintGroup } from './hint-group.ts';

const chapter = 'phases/1-routing/README.md';
const contract = 'docs/contract.md#phase-1-routing';

/** Suite 1, from its general tests to the special ones. */
export const routingHints: HintGroup[] = [
  {
    tests: ['a method > TRACE', 'a method > CONNECT'],
    contract:
      'Every method Node can parse is forwarded, OPTIONS and HEAD included. TRACE and CONNECT are not.',
    read: contract,
    hints: [
      'Which methods must a proxy not forward, because they ask something of the proxy itself?',
      'TRACE would show the client what the gateway sends to the service. Answer it with 404, like a path without a route. CONNECT asks for a tunnel: a server without support for it closes the connection, as Node does by default.',
    ],
    code: { file: 'route.ts', from: 'export const PROXIED_METHODS' },
  },
  {
    tests: ['a method > '],
    contract:
      'Every method Node can parse is forwarded, OPTIONS and HEAD included. TRACE and CONNECT are not.',
    read: contract,
    hints: [
      'Does anything in your gateway depend on the method? A framework often checks the method before your code runs.',
      'Forward the method unchanged. The framing (Content-Length, Transfer-Encoding) says whether there is a body, not the method: a GET may have one. The response to HEAD keeps its Content-Length and has no body.',
    ],
    hintsWithoutFastify: [
      'Does anything in your gateway depend on the method?',
      'Forward the method unchanged. The framing (Content-Length, Transfer-Encoding) says whether there is a body, not the method: a GET may have one. The response to HEAD keeps its Content-Length and has no body.',
    ],
    code: { file: 'http-server.ts', from: 'for (const method of PROXIED_METHODS)' },
  },
  {
    tests: [
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
      'Does your gateway ever hold a whole body in memory, or read it faster than it can send it on?',
      'Forward each body chunk by chunk. When write() returns false, stop reading the other side until the drain event. Run both directions at the same time: a response may begin during the upload.',
    ],
    code: { file: 'call.ts', from: 'onResponseData(' },
  },
  {
    tests: ['is read whole before the service is called'],
    contract:
      'One exception: a body with a `Content-Length` up to 16 KiB is read whole before the service is called.',
    read: contract,
    hints: [
      'What does a stream cost for a body of 1 KB, and what does a service do with half a body?',
      'If Content-Length is at most 16 KiB, collect the body, then send it with the header fields. Longer bodies, and those of unknown length, stream.',
    ],
    code: { file: 'upload.ts', from: 'export function hasBody(' },
  },
  {
    tests: ['a request body > '],
    contract:
      'Bodies of any type and size stream both ways, unparsed and unbuffered, with back-pressure: when one side does not read, the other waits.',
    read: `${chapter}#traps-it-avoids`,
    hints: [
      'What reads the body before the service gets it? Frameworks parse what looks like JSON, text or a form.',
      'Switch off every body parser and forward the raw stream. Keep Content-Type and Content-Length unchanged. A body of unknown length arrives in chunks and leaves in chunks. Trailers are dropped.',
    ],
    hintsWithoutFastify: [
      'What reads the body before the service gets it? What is collected first does not stream.',
      'Parse nothing, and forward the stream of the request. Keep Content-Type and Content-Length unchanged. A body of unknown length arrives in chunks and leaves in chunks. Trailers are dropped.',
    ],
    code: { file: 'upload.ts', from: 'constructor(request: IncomingMessage' },
  },
  {
    tests: ['an answer > of events'],
    contract: 'Header fields do not wait for the first byte of the body.',
    read: contract,
    hints: [
      'When does your gateway send the header fields of a response?',
      'A server usually keeps the header fields until the first byte of the body. An event stream may be silent for minutes: send the fields as soon as they arrive (in Node: flushHeaders()).',
    ],
    code: { file: 'call.ts', from: 'onResponseStart(' },
  },
  {
    tests: ['an answer > 204 loses'],
    contract: 'A `Content-Length` of a 204 is dropped (RFC 9110 8.6).',
    read: contract,
    hints: [
      'Which fields of a response say something about its body, and which responses have none?',
      'A 204 has no body, so Content-Length must not be in it: drop the field, and end the response without a body. A 304 and a response to HEAD keep theirs.',
    ],
    code: { file: 'headers.ts', from: 'if (length !== undefined && status !== 204)' },
  },
  {
    tests: ['an answer > 204', 'an answer > 304', 'an answer > of no length but'],
    contract:
      'Status, 204, 304, HEAD with its length, redirects, compressed bodies, ranges, event streams and repeated fields such as `Set-Cookie` pass unchanged.',
    read: `${chapter}#traps-it-avoids`,
    hints: [
      'How can a client tell where a response ends? Content-Length is only one of the ways.',
      '204, 304 and responses to HEAD end with their header fields, whatever Content-Length says. Without a length and without chunks, the end of the connection is the end of the response.',
    ],
    code: { file: 'call.ts', from: 'onResponseStart(' },
  },
  {
    tests: ['an answer > that is interim > never reaches'],
    contract: 'HTTP/1.0 clients get none (RFC 9110 15.2).',
    read: contract,
    hints: [
      'HTTP/1.0 has no 1xx. What does such a client take an interim response for?',
      'Check the version of the request before you write an interim response.',
    ],
    code: { file: 'call.ts', from: 'onResponseStart(' },
  },
  {
    tests: ['an answer > that is interim > '],
    contract:
      'Interim answers of the service (102 to 199) are passed on to HTTP/1.1 clients at once, in their order, with their fields but without hop-by-hop fields and `Content-Length`.',
    read: contract,
    hints: [
      'A service may send several responses to one request, and all but the last have a status of 1xx. Does your HTTP client report them?',
      'Write each interim response to the client when it arrives: status line, end-to-end fields, an empty line. The functions of Node (writeEarlyHints, writeProcessing) know only some statuses and fields. Only the final response stops the timer.',
    ],
    code: { file: 'call.ts', from: 'onResponseStart(' },
  },
  {
    tests: ['with its length in plain decimal'],
    contract: 'A `Content-Length` with zeros in front is written without them: `05` as `5`.',
    read: contract,
    hints: [
      'Two programs read `Content-Length: 010`. Does each of them find the same length?',
      'Write the length as the number that it is.',
    ],
    code: { file: 'headers.ts', from: 'if (length !== undefined && status !== 204)' },
  },
  {
    tests: ['an answer > of a connection that ends before the client reads'],
    contract:
      'If a service closes its connection after its answer, the answer reaches the client complete, however slowly the client reads, and no other request is affected.',
    read: `${chapter}#traps-it-avoids`,
    hints: [
      'The service has sent everything and closed its connection; the client reads the last bytes a second later. Where are these bytes meanwhile, and what does your HTTP client do when a connection ends while reading is paused?',
      'If other requests get no response afterwards either, check the exit code: undici 7 fails an assertion when a connection ends while its parser is paused. Let the socket end only after all of its data has been read.',
    ],
    code: { file: 'connect.ts', from: 'function delayEndUntilDrained(' },
  },
  {
    tests: ['an answer > '],
    contract:
      'Status, 204, 304, HEAD with its length, redirects, compressed bodies, ranges, event streams and repeated fields such as `Set-Cookie` pass unchanged.',
    read: contract,
    hints: [
      'Your gateway must not change a response because of its status: it forwards all of them.',
      'HTTP clients follow redirects, decompress bodies and throw on 4xx unless these features are switched off. Use a client that does none of this, and copy status, fields and bytes.',
    ],
    code: { file: 'headers.ts', from: 'export function responseHeaders(' },
  },
  {
    tests: ['many requests > '],
    contract:
      'Bodies of any type and size stream both ways, unparsed and unbuffered, with back-pressure: when one side does not read, the other waits.',
    read: contract,
    hints: [
      'What do two requests in your gateway share, and what should they share?',
      'Do not keep data of a request in a variable of the module. Share the connections to a service: keep them alive in a pool or an agent, one per service.',
    ],
    code: { file: 'upstream.ts', from: 'export function openPool(' },
  },
  {
    tests: ['a service that cannot be reached > '],
    contract: 'No connection: 502 `upstream-unreachable`.',
    read: 'docs/errors.md#upstream-unreachable',
    hints: [
      'What does your HTTP client report when nothing listens on the port, when the host name is unknown, and when connecting takes too long?',
      'Before there is a connection, every error is 502 upstream-unreachable, except a timeout: 504. Do not send the error text to the client, because it contains addresses. Read an upload that is under way to its end and discard it; otherwise the next request on that connection is lost.',
    ],
    code: { file: 'upstream.ts', from: 'export function problemOf(' },
  },
  {
    tests: ['that hangs is looked up once', 'that hangs holds up no other'],
    contract: 'A name whose name server does not answer holds up no other service.',
    read: contract,
    hints: [
      'How many look-ups can your process make at the same time, and how long does one take when the name server does not answer?',
      'dns.lookup() has four threads for all names, and each look-up can take many seconds. Make one look-up of a name at a time for all calls that wait for it, and resolve a name that waits for long without a thread (dns.Resolver).',
    ],
    code: { file: 'lookup.ts', from: 'export function lookup(' },
  },
  {
    tests: ['with two addresses gives the first one time'],
    contract: 'they are tried one after the other, each for up to half of `timeoutMs`, at least 250 ms.',
    read: contract,
    hints: [
      'A name has two addresses, and the first is slow to accept. How long does your client wait before it gives it up?',
      'Node waits 250 ms (autoSelectFamilyAttemptTimeout). Set it to a part of timeoutMs.',
    ],
    code: { file: 'connect.ts', from: 'export function connectWithin(' },
  },
  {
    tests: ['responses that arrive while the process is paused'],
    contract:
      'An answer that has arrived when `timeoutMs` ends still counts, even if the process was too busy or paused to read it earlier.',
    read: contract,
    hints: [
      'After a pause the timer is due and the answer is in the socket. Which one does your program handle first?',
      'The event loop runs timers before it reads. End the call in a setImmediate after the timer, and only if there is still no answer.',
    ],
    code: { file: 'call.ts', from: 'constructor(request' },
  },
  {
    tests: ['no descriptors left gives 503'],
    contract:
      'No descriptor, port or memory is left for a connection, or for the look-up of a name: 503 `gateway-exhausted`.',
    read: 'docs/errors.md#gateway-exhausted',
    hints: [
      'connect() can fail without any fault of the service. Which error codes say that?',
      'EMFILE, ENFILE, EADDRNOTAVAIL, ENOBUFS and ENOMEM come from your own system: answer 503 gateway-exhausted, and keep serving.',
    ],
    code: { file: 'upstream.ts', from: 'export function problemOf(' },
  },
  {
    tests: ['a service behind TLS > '],
    contract: 'TLS certificates of services are verified.',
    read: contract,
    hints: [
      'Does anything in your code switch off the verification of certificates?',
      'Keep the defaults of the TLS library, and use them for https:// URLs. With a certificate that cannot be verified there is no connection: 502 upstream-unreachable.',
    ],
    code: { file: 'upstream.ts', from: 'export function openPool(' },
  },
  {
    tests: ['is never asked twice', 'is asked once, and its answer passes'],
    contract: '**The gateway never retries**, whatever the method.',
    read: `${chapter}#traps-it-avoids`,
    hints: [
      'Count the calls that reach the service. What makes the second one?',
      'Many HTTP clients and proxy libraries retry on their own: after a reset of a kept-alive connection, or after 503 with Retry-After. Switch that off, or use a client without retries.',
    ],
    code: { file: 'forward.ts', from: 'export function forward(' },
  },
  {
    tests: ['a service that answers badly > '],
    contract:
      'Closed or reset before an answer: 502 `upstream-reset`. An answer that is not HTTP, over 16 KiB of header fields, a 101, a status outside 100 to 599, or a `Transfer-Encoding` other than `chunked`: 502 `upstream-invalid`.',
    read: 'docs/errors.md#upstream-invalid',
    hints: [
      'A service may close the connection early or send invalid HTTP. Which of the two does your HTTP client report, and with which error?',
      'Sort the errors of your client: an error of its parser is upstream-invalid, a connection that ended is upstream-reset. Check the status yourself, because parsers accept 099 and 999. A 101 is invalid, because the gateway requested no upgrade. Your client decodes chunks; a body that is also gzip-coded in Transfer-Encoding would be forwarded without the field that says so.',
    ],
    code: { file: 'upstream.ts', from: 'export function problemOf(' },
  },
  {
    tests: ['an answer that is cut short > '],
    contract: "If an answer breaks off after its header fields, the gateway cuts the client's connection.",
    read: 'docs/errors.md#upstream-reset',
    hints: [
      'The status has already been sent when the body breaks off. How can the client still learn that the response is incomplete?',
      'Destroy the connection to the client when the response of the service fails. A clean end (end(), or a pipe that closes both sides) writes the last chunk and makes an incomplete response look complete.',
    ],
    code: { file: 'call.ts', from: 'onResponseError(' },
  },
  {
    tests: [
      'is not blamed while',
      'still has its whole time',
      'after a slow upload that it does not answer',
      'only has to begin in time',
    ],
    contract:
      'No header fields within `timeoutMs` after the request was complete: 504 `upstream-timeout`. The time does not run while the client is still uploading: a slow upload is not a failure of the service.',
    read: 'docs/errors.md#upstream-timeout',
    hints: [
      'From which moment on is the service the slow side?',
      'Start the timer again when the whole request has been sent to the service. When it fires during an upload, the service is not late if it waits for the client, or if it has read more bytes since the last check: start the timer again. When the header fields have arrived, stop the timer: a slow body is not a timeout.',
    ],
    code: { file: 'upload.ts', from: 'stillMoving(' },
  },
  {
    tests: ['a service that takes too long > '],
    contract: 'No header fields within `timeoutMs` after the request was complete: 504 `upstream-timeout`.',
    read: 'docs/errors.md#upstream-timeout',
    hints: [
      'Which timer runs while the service sends nothing?',
      'Start your own timer for each call: the timers of HTTP clients are often coarse, or start again with every byte. When it fires, cancel the call and answer 504. A 1xx response does not stop it. Discard everything that the service sends later.',
    ],
    code: { file: 'call.ts', from: '#onTimeout(' },
  },
  {
    tests: ['makes no call at all'],
    contract: 'If the client disconnects in the middle of it, no service is called.',
    read: contract,
    hints: [
      'A client leaves when it has sent half of a short body. Has its service been called?',
      'Call the service when the body is complete. If the connection closes before that, log the request with 499, and make no call.',
    ],
    code: { file: 'upload.ts', from: 'export function hasBody(' },
  },
  {
    tests: ['a client that leaves > is logged'],
    contract: 'the status that the client got. 499: the client disconnected before the answer was complete',
    read: 'docs/contract.md#log',
    hints: [
      'When is the log line written, and does that moment also come when the client has left?',
      'Write it when the response closes, not when it finishes: only the close event always comes. If the response had not finished by then, the status is 499.',
    ],
    code: { file: 'exchange.ts', from: 'export function observe(' },
  },
  {
    tests: ['a client that leaves > '],
    contract: 'If the client disconnects, the call to the service is cancelled at once.',
    read: `${chapter}#traps-it-avoids`,
    hints: [
      'Which event tells you that the client has left, and does it also come before the first byte of the response?',
      'Listen for the close event of the connection (in Node: of the response), and cancel the call to the service there. A half-sent upload must not look complete: cut it off. Of several pipelined requests only the first one gets the event in Node, so pass it on to all of them.',
    ],
    code: { file: 'call.ts', from: '#onClose(' },
  },
  {
    tests: ['a service that answers before it has the whole request > '],
    contract:
      'If a service answers before the upload is complete, the answer reaches the client, with `Connection: close`. Then the connection is closed like that of a refused upload.',
    read: `${chapter}#traps-it-avoids`,
    hints: [
      'The response is there while the client is still sending. What happens to the rest of its upload?',
      'Send the response on at once, with Connection: close, and end your side of the connection after it. Read and discard a bounded part of the rest, then close. A connection that is closed while bytes are unread is reset, and the client can lose the response. An error of the upload after the response has begun is not a failure.',
    ],
    code: { file: 'upload.ts', from: 'constructor(request: IncomingMessage' },
  },
  {
    tests: ['a refused upload > that comes at once'],
    contract: 'The connection stays usable after a refusal, if the body of the request has come with it.',
    read: 'docs/contract.md#refusals',
    hints: [
      'When the refusal is written, has the parser read the body that came in the same packet?',
      'Let the parser finish what it has read before you decide (in Node: setImmediate). If the request is complete then, the connection stays open.',
    ],
    code: { file: 'problem.ts', from: 'export function sendProblem(' },
  },
  {
    tests: ['a refused upload > is not read'],
    contract:
      'the gateway ends its side, reads and discards at most 256 KiB more, for at most 2 s, and closes the connection.',
    read: 'docs/contract.md#refusals',
    hints: [
      'A client goes on sending after the refusal. How many bytes do you read, and for how long?',
      'Count the bytes and start a timer when the refusal is written. Stop reading at 256 KiB, and destroy the connection after 2 s at the latest.',
    ],
    code: { file: 'problem.ts', from: 'export function sendProblem(' },
  },
  {
    tests: ['a refused upload > because', 'a client that reads when it has written 1 MB > '],
    contract:
      'So the refusal reaches the client completely, even if the client reads nothing before it has written everything.',
    read: 'docs/contract.md#refusals',
    hints: [
      'What does the system send to a client when you close a connection with unread bytes, and what happens to the bytes that the client has not read yet?',
      'It sends a reset, and the client loses the response. Close in stages (RFC 9112 9.6): write the response, end your side, read on for a bounded time, then close. This applies to the responses that you write to the socket for the parser as well.',
    ],
    code: { file: 'refuse-unparsed.ts', from: 'export function refuseUnparsed(' },
  },
  {
    tests: ['other clients wait at most twice as long > while uploads'],
    contract:
      'Uploads in chunks of 1 byte make other clients wait at most twice as long as the same uploads in chunks of 64 KiB, also when the uploads are refused.',
    read: contract,
    hints: [
      'One read of 64 KiB holds 10,000 chunks of 1 byte. How much of your code runs for each of them, and what runs in between for other connections?',
      'Do as little as possible for each chunk: collect the chunks of a read, and write once. Bound the rest: refuse a body that is mostly framing, and stop reading a connection whose upload is refused.',
    ],
    code: { file: 'upload.ts', from: 'constructor(request: IncomingMessage' },
  },
  {
    tests: ['other clients wait at most twice as long > while clients pipeline'],
    contract:
      'Requests that are pipelined and refused make them wait at most twice as long as the same requests sent one at a time.',
    read: contract,
    hints: [
      'One read holds 1,000 requests. How many of them do you answer before the event loop reads from other connections?',
      'Begin one request of a connection per iteration of the event loop, also when it is refused at once.',
    ],
    code: { file: 'in-order.ts', from: 'export function inOrder(' },
  },
  {
    tests: ['an empty Transfer-Encoding > '],
    contract: 'The same holds for an empty `Transfer-Encoding`.',
    read: contract,
    hints: [
      'Is a body with an empty Transfer-Encoding framed by it, by Content-Length, or not at all?',
      'Servers differ in this, so the end of the request is unreliable: refuse it with 400 and Connection: close, and read nothing that follows on this connection.',
    ],
    code: { file: 'well-formed.ts', from: 'const isUnreliable =' },
  },
  {
    tests: ['bytes behind a good request > '],
    contract: 'Bytes behind a complete request do not cost it its answer',
    read: contract,
    hints: [
      'The parser reports an error in bytes that follow a complete request. Whose response may the error take away?',
      'If a request of the connection is in flight, keep its call, and stop reading: its response comes, and then the end. Nothing is written, executed or logged for the bytes behind it. Only if no request is in flight, the parser error gets a response.',
    ],
    code: { file: 'refuse-unparsed.ts', from: 'export function refuseUnparsed(' },
  },
  {
    tests: ['bytes behind a request with Upgrade > '],
    contract: 'The answer to a request with `Upgrade` is such an answer.',
    read: contract,
    hints: [
      'Your server does not switch protocols. What does its HTTP parser do with the bytes behind a request that asks for it?',
      "Node's parser drops the rest of the bytes that it has read, so the next bytes may be the middle of a request. Answer a request with Upgrade with Connection: close, and begin nothing behind it.",
    ],
    code: { file: 'in-order.ts', from: 'export function inOrder(' },
  },
  {
    tests: ['an upload whose framing breaks > '],
    contract:
      'If the framing of an upload breaks while its call runs, the client gets 400 `bad-request`, the connection is closed, and the call is cancelled.',
    read: contract,
    hints: [
      'The parser finds an error in the body of a request in flight. Who learns of it: the client, the service, the log?',
      'Refuse the request itself: note the problem on its record, write the 400 as its response, cancel its call so that the body never looks complete to the service, and close the connection. Then the log has one line, with 400.',
    ],
    code: { file: 'refuse-unparsed.ts', from: 'export function refuseUnparsed(' },
  },
  {
    tests: ['an upload > that is more framing than data'],
    contract:
      'A chunked body whose framing (sizes, extensions, line ends) outweighs its data by more than 16 KiB gets 400 `bad-request`: the connection is closed, and the call to the service is cancelled.',
    read: contract,
    hints: [
      'A client sends 6 bytes for each byte of data. Who pays for that?',
      'Compare the bytes that the connection has read with the bytes of the body (in Node: socket.bytesRead). When the difference is larger than the body by more than 16 KiB, refuse the upload as if its framing were broken. Go has done this since CVE-2023-39326.',
    ],
    code: { file: 'upload.ts', from: 'async *[Symbol.asyncIterator]' },
  },
  {
    tests: ['an upload > '],
    contract:
      'Chunks of 16 bytes or more, without extensions, are never refused, however slowly they arrive.',
    read: contract,
    hints: [
      'Which bytes of a connection belong to the framing of this body, and which do not?',
      'Do not count what came before the body, or what follows it: header fields, other requests. Count neither packets nor reads, because a body may arrive byte by byte. A body with a length has no framing.',
    ],
    code: { file: 'upload.ts', from: 'async *[Symbol.asyncIterator]' },
  },
  {
    tests: ['a client of HTTP/1.0 > '],
    contract:
      'An HTTP/1.0 client gets a reset: to it, the end of the connection can be the end of the answer.',
    read: contract,
    hints: [
      'How does a client without chunks learn that a response of unknown length is complete?',
      'By the end of the connection. So an end that is none must not look like it: reset the connection (in Node: socket.resetAndDestroy()).',
    ],
    code: { file: 'call.ts', from: 'onResponseError(' },
  },
  {
    tests: ['keep bytes outside ASCII', 'keep the bytes of a file name'],
    contract:
      'Status, 204, 304, HEAD with its length, redirects, compressed bodies, ranges, event streams and repeated fields such as `Set-Cookie` pass unchanged.',
    read: `${chapter}#traps-it-avoids`,
    hints: [
      'In which encoding are header fields read, and in which are they written?',
      'Header fields are bytes. Read as latin1 and written as latin1 they keep every byte; with UTF-8 on one side some bytes become two. Node writes a Content-Disposition as UTF-8 when it comes after Content-Length, so write the length last.',
    ],
    code: { file: 'headers.ts', from: 'export function responseHeaders(' },
  },
  {
    tests: ['of almost 16 KiB pass'],
    contract: 'Request line and header fields over 16 KiB together: 431 `headers-too-large`.',
    read: 'docs/errors.md#headers-too-large',
    hints: [
      'How large may the header fields be for your server, and for your HTTP client?',
      'Set the limit of both to 16 KiB, and add few fields: what the gateway adds counts when the service reads it.',
    ],
    code: { file: 'http-server.ts', from: 'const server = Fastify(' },
  },
  {
    tests: ['stop: they are not the length of the body'],
    contract: '`Content_Length` is dropped, because a CGI-like server reads it as `Content-Length`.',
    read: contract,
    hints: [
      'CGI turns both Content-Length and Content_Length into CONTENT_LENGTH. Which of the two frames the body?',
      'Compare names with dashes in the place of underscores. Drop Content_Length in any letter case, and keep Content-Length.',
    ],
    code: { file: 'headers.ts', from: "if (lower === 'content_length')" },
  },
  {
    tests: ['request fields > '],
    contract: 'Hop-by-hop fields are not forwarded in either direction (RFC 9110 7.6.1 and 11.7)',
    read: contract,
    hints: [
      'Some header fields apply to one connection only. Which ones, and which field lists the others?',
      'Drop the hop-by-hop fields and every field that Connection lists (in several fields, with several names, in any letter case, also with underscores). Keep all other fields, with every value, in their order. Keep Content-Length even when Connection lists it: it frames the body.',
    ],
    code: { file: 'headers.ts', from: 'export function requestHeaders(' },
  },
  {
    tests: ['in X-Forwarded-Prefix'],
    contract: '`X-Forwarded-Prefix` with the prefix of the route, as in the config',
    read: contract,
    hints: [
      'The service sees a path without the prefix. How can it write links that lead through the gateway?',
      'Send the prefix of the matched route in X-Forwarded-Prefix: the value of the config, not the spelling of the request. Drop the field of the client.',
    ],
    code: { file: 'headers.ts', from: "kept.push('x-forwarded-prefix'" },
  },
  {
    tests: ['what the gateway tells the service > '],
    contract:
      'The gateway sends these fields to the service: `Host` with the host of the service; `X-Forwarded-For` with the address of the client; `X-Forwarded-Proto`; `X-Forwarded-Host` with the host that the client requested; `X-Forwarded-Prefix` with the prefix of the route, as in the config; and `Via` with one more member, the version and the name of the gateway: `1.1 phased-gateway-1f2e3d4c`.',
    read: contract,
    hints: [
      'What may a client claim about itself, and what does only the gateway know?',
      'Drop the X-Forwarded-*, Forwarded and X-Real-IP of the client (underscores count as dashes), then write your own. Write them after the fields that Connection lists are dropped; otherwise a client could list yours there and have them removed. Add a member to Via, do not replace it.',
    ],
    code: { file: 'headers.ts', from: 'export function requestHeaders(' },
  },
  {
    tests: ['gets no 100 when no body follows', 'gets 100 in exactly this spelling'],
    contract: 'Without a body, or with any other expectation, there is no 100.',
    read: contract,
    hints: [
      'What does 100 Continue ask the client to do, and when does that make no sense?',
      'Write 100 only if Expect is exactly 100-continue (in any letter case), the version is HTTP/1.1 and a body follows. Serve other expectations as if the field were absent, or answer 417.',
    ],
    code: { file: 'upload.ts', from: 'export function expectsContinue(' },
  },
  {
    tests: ['Expect: 100-continue > '],
    contract:
      'The gateway answers `Expect: 100-continue` with 100 when it has a connection to the service, or, for a body that it reads whole, when no stage has refused the request. A refused request gets the refusal instead.',
    read: `${chapter}#traps-it-avoids`,
    hints: [
      'What answers Expect: the server library by itself, the service, or your code?',
      'Handle it in your code (in Node: the events checkContinue and checkExpectation), do not forward the field, and write 100 when the connection to the service is established, or when you begin to collect a short body. Drop an Expect with another value; the request goes on without it.',
    ],
    code: { file: 'call.ts', from: 'onRequestStart(' },
  },
  {
    tests: ['answer fields > Connection: close'],
    contract: 'Hop-by-hop fields are not forwarded in either direction (RFC 9110 7.6.1 and 11.7)',
    read: contract,
    hints: [
      'There are two connections. Which of them does Connection: close end?',
      'Drop Connection in both directions. Your server writes its own for the client, and your HTTP client its own for the service.',
    ],
    code: { file: 'headers.ts', from: 'const HOP_BY_HOP' },
  },
  {
    tests: ['answer fields > '],
    contract: 'Hop-by-hop fields are not forwarded in either direction (RFC 9110 7.6.1 and 11.7)',
    read: contract,
    hints: [
      'The rules for header fields apply in both directions. Which fields does your gateway drop from responses?',
      'Drop the hop-by-hop fields and those that Connection lists. Keep the rest: repeated fields stay repeated (Set-Cookie cannot be joined), and Date and Server are those of the service. Do not write a Trailer field beside Content-Length: Node throws, and the process ends.',
    ],
    code: { file: 'headers.ts', from: 'export function responseHeaders(' },
  },
  {
    tests: ['a field behind 1,200 others > '],
    contract: 'Below that limit no field is ignored, however many there are.',
    read: `${chapter}#traps-it-avoids`,
    hints: [
      'Many short header fields are few bytes. How many of them does your server pass to your code, and which ones does its parser obey nevertheless?',
      'Remove the limit on their number (in Node: maxHeadersCount, 1,000 by default); the limit of 16 KiB still holds. The service may have such a limit too: send your own fields first, then those of the client, then Via.',
    ],
    code: { file: 'http-server.ts', from: 'http.maxHeadersCount' },
  },
  {
    tests: ['holds up the stop for 3 s at most'],
    contract: 'A slow reader of the log gets the last lines for up to 3 s more.',
    read: 'docs/contract.md#signals',
    hints: [
      'How long may a supervisor have to wait for the end of your gateway?',
      'Flush the log at the end, but not longer than 3 s. A reader that takes a little now and then is not stuck, so a limit on silence is not enough.',
    ],
    code: { file: 'log.ts', from: 'export function closeLog(' },
  },
  {
    tests: ['a log that is not read > '],
    contract:
      'If the disk is full, or the reader of stdout reads nothing for half a second, log lines are lost. Requests are still served, and the gateway still stops on a signal.',
    read: 'docs/contract.md#log',
    hints: [
      'What waits when a line of the log cannot be written?',
      'Nothing may wait: write in the background, drop lines beyond some megabytes, and handle the errors of stdout. Before the end, write the last lines while the reader still takes some, and give up when it has taken none for half a second: a logger that flushes at exit may never finish. A start that fails ends in the same way.',
    ],
    code: { file: 'log.ts', from: 'export function closeLog(' },
  },
  {
    tests: ['with the Date, even from the parser'],
    contract: 'Every refusal has a `Date`, those of the parser too (RFC 9110 6.6.1).',
    read: contract,
    hints: [
      'What writes the responses to requests that the parser refuses, and which fields does your server library add to all others?',
      'You write such a response to the socket yourself, so add what the library adds elsewhere: Date, in the form of toUTCString().',
    ],
    code: { file: 'refuse-unparsed.ts', from: 'const head = [' },
  },
  {
    tests: ['because of one field over 16 KiB', 'because of many fields over 16 KiB'],
    contract: 'Request line and header fields over 16 KiB together: 431 `headers-too-large`.',
    read: 'docs/errors.md#headers-too-large',
    hints: [
      'The parser gives up before there is a request object. What answers then?',
      'Set the limit to 16 KiB and handle the parser error (in Node: the event clientError, code HPE_HEADER_OVERFLOW) by writing the 431 problem to the socket yourself.',
    ],
    code: { file: 'refuse-unparsed.ts', from: 'export function refuseUnparsed(' },
  },
  {
    tests: ['because of no version', 'because of HTTP/0.9', 'because of HTTP/2.0'],
    contract:
      'A request without a version, or with another one than HTTP/1.1 and HTTP/1.0, gets 400 `bad-request`, or its connection is closed. No service is called.',
    read: contract,
    hints: [
      'Which versions does your parser accept? Send a request line without one.',
      'Accept exactly 1.1 and 1.0, before you look at anything else. The parser of Node also accepts 0.9, 2.0, and a request line without a version.',
    ],
    code: { file: 'well-formed.ts', from: "if (httpVersion !== '1.1'" },
  },
  {
    tests: ['because of HTTP/1.0 with Transfer-Encoding'],
    contract:
      '`Transfer-Encoding` in HTTP/1.0: 400 `bad-request`, and the connection is closed (RFC 9112 6.1), because the end of such a request is unreliable.',
    read: contract,
    hints: [
      'HTTP/1.0 has no chunks. Where does such a request end for a proxy in front of your gateway, and where for your gateway?',
      'Refuse it with 400 and Connection: close, and read nothing that follows on this connection.',
    ],
    code: { file: 'well-formed.ts', from: 'const isUnreliable =' },
  },
  {
    tests: ['a request that is not proper HTTP > '],
    contract:
      'An ambiguous request gets 400 `bad-request`, and no service is called: dot segments in any spelling, a backslash in the path, `#`, an invalid percent-escape, two `Host` fields, no `Host` in HTTP/1.1, `Content-Length` together with `Transfer-Encoding`, two `Content-Length` fields, a `Transfer-Encoding` other than `chunked`.',
    read: 'docs/errors.md#bad-request',
    hints: [
      'When two servers read one request in two ways, an attacker can use the difference. What does your parser accept?',
      'The parser refuses broken framing: answer its errors with the 400 problem and close the connection. Count the Host fields in the raw list, because the parsed headers keep only the first one. If there is exactly one, check its value.',
    ],
    code: { file: 'well-formed.ts', from: 'export function wellFormed(' },
  },
  {
    tests: ['an idle connection to a service > ', 'any bytes > of a service on an idle connection'],
    contract:
      'Bytes that a service sends on an idle connection are not the answer to the next request (RFC 9112 9.2)',
    read: `${chapter}#traps-it-avoids`,
    hints: [
      'A service sends bytes on a connection on which no request is outstanding. When does your HTTP client read them, before or after it writes the next request?',
      'Let the event loop read the socket once between the arrival of a request and its dispatch, and close an idle connection on which bytes have arrived. undici looks for such bytes in a setImmediate, which can run before the socket is read: call dispatch() in a setImmediate of your own.',
    ],
    code: { file: 'forward.ts', from: 'export function forward(' },
  },
  {
    tests: ['any bytes > '],
    contract:
      'each answer belongs to its request, a client gets no bytes that a service sent for another request, the body of a request never becomes a second request, and after a refusal that closes the connection no request of it is begun.',
    read: contract,
    hints: [
      'The message shows the smallest case: the bytes of both sides. Where does the request end for your gateway, and where for RFC 9112? Which bytes are left over, and who gets them?',
      'Refuse what has no single reading (RFC 9112 6.3), close the connection after it, and begin no request that arrives behind it. Close the connection of a service when bytes follow its answer, and that of the client when an answer breaks off. npm run fuzz -- --seed N --case N sends the same case again.',
    ],
    code: { file: 'in-order.ts', from: 'export function inOrder(' },
  },
  {
    tests: ['pipelined requests > are not read without end'],
    contract: 'While many requests of a connection wait, the gateway reads no more from it.',
    read: contract,
    hints: [
      'A client sends requests faster than they are answered. Where are the ones that wait?',
      'Stop reading the socket when some requests of it wait, and read on when there are fewer. Node resumes a socket at the end of each request that it has parsed, so pause it in process.nextTick(), not in the request listener itself.',
    ],
    code: { file: 'in-order.ts', from: 'export function inOrder(' },
  },
  {
    tests: ['pipelined requests > '],
    contract:
      'Requests that a client pipelines on one connection are handled one after the other: the next one begins when the answer to the one before has ended (RFC 9112 9.3.2).',
    read: contract,
    hints: [
      'A client sends two PUTs without waiting for an answer. In which order do they reach the service, and on how many connections?',
      'Handle one request of a connection at a time. Node emits pipelined requests at once; the response of a waiting one has no socket yet, and emits the event "socket" when the responses before it have been sent. A request that waits is not begun after a signal to stop, or when its client has left.',
    ],
    code: { file: 'in-order.ts', from: 'export function inOrder(' },
  },
  {
    tests: ['HOST > may be a name'],
    contract: 'The gateway has one listener for `HOST`, on one address, even if the name has several.',
    read: 'docs/contract.md#environment',
    hints: [
      'localhost can be 127.0.0.1 and ::1. How many listeners does your framework open for it, and do all of them have your limits?',
      'Look the name up once and listen on one of its addresses. Frameworks may open a second server for the other address, without the limits and the listeners of the first. Log the address, not the name.',
    ],
    hintsWithoutFastify: [
      'localhost can be 127.0.0.1 and ::1. On how many of them does your server listen, and which one does it log?',
      'Look the name up once and listen on one of its addresses. Log the address, not the name.',
    ],
    code: { file: 'server.ts', from: 'async function listen(' },
  },
  {
    tests: ['the address in the log line of a request > '],
    contract:
      'the address of the client, as the rate limiter counts it: IPv4 as a whole, of IPv6 the first 64 bits, such as `2001:db8:0:1::/64`.',
    read: 'docs/contract.md#log',
    hints: [
      'Whose address helps you to find the caller of a bad request? When do you know it for the last time?',
      'Read the address of the peer when the request begins: the system forgets it when the connection closes. Write IPv4 without ::ffff:, and the first four groups of IPv6 in full, without leading zeros, with ::/64. Where the parser refuses, the socket knows it. After a reset it is unknown: do not fail.',
    ],
    code: { file: 'address.ts', from: 'function network(' },
  },
  {
    tests: ['a route that leads back to the gateway > ', 'the name of the gateway in Via > '],
    contract:
      'A request whose `Via` contains the name of the gateway as a member: 508 `loop-detected`, before its route is looked for, and no service is called.',
    read: contract,
    hints: [
      'How does a gateway recognise a request that it has sent itself?',
      'Take GATEWAY_NAME, or make a random name at the start, and write it into Via. Refuse a request before routing if the second word of a member of its Via is that name; comments and versions are not names. Several Via fields are one list.',
    ],
    code: { file: 'loop.ts', from: 'export function refuseLoops(' },
  },
  {
    tests: ['a connection to a service > '],
    contract:
      'A connection to a service gets no new request when it is 60 s old. It is closed when the response in progress has ended, however long that takes.',
    read: contract,
    hints: [
      'A name is looked up for a new connection. When does a busy pool open one?',
      'Give each connection a longest life, a little different for each, and count it from its opening. When it is over, take the connection out of the pool, and close it when its response has ended. Never cut a response.',
    ],
    code: { file: 'upstream.ts', from: 'function renewInTime(' },
  },
  {
    tests: ['HOST > :: tells'],
    contract:
      'The address of an IPv4 client is written as `203.0.113.5`, also when `HOST` is `::`, and not as `::ffff:203.0.113.5`.',
    read: contract,
    hints: [
      'A listener on :: accepts IPv4 connections too. How does the system write the addresses of their clients?',
      'Take ::ffff: off an address that ends in an IPv4 address before you send it to a service.',
    ],
    code: { file: 'address.ts', from: 'export function plainAddress(' },
  },
  {
    tests: ['one connection > '],
    contract: 'HTTP/1.1 and 1.0 only, without TLS at the front.',
    read: 'docs/contract.md#limits-of-these-phases',
    hints: [
      'A client may send the next request before it has a response, or use HTTP/1.0. Does your server library handle both?',
      'Answer through the response object of the library, not through the socket: then the order is kept, and an HTTP/1.0 client gets no chunks. Never copy Transfer-Encoding from the service.',
    ],
    code: { file: 'headers.ts', from: 'export function responseHeaders(' },
  },
  {
    tests: ['a prefix > ends at', 'a prefix > is case-sensitive', 'a prefix > may begin like /health'],
    contract:
      'A prefix matches whole path segments: `/api/orders` matches `/api/orders` and `/api/orders/…`, not `/api/ordersX`. Matching is case-sensitive.',
    read: contract,
    hints: [
      'What must follow a prefix in the path so that the prefix matches?',
      'Split path and prefix at the slashes and compare segment by segment. startsWith() would match /api/ordersX with /api/orders.',
    ],
    code: { file: 'route.ts', from: 'export function findRoute(' },
  },
  {
    tests: ['a prefix > that is longer'],
    contract: 'The longest prefix wins, whatever the order in the config.',
    read: contract,
    hints: [
      'Two routes match. Which of them applies?',
      'Sort the routes by the number of their segments, longest first, or walk a tree and remember the deepest route. The order in the config must not matter.',
    ],
    code: { file: 'route.ts', from: 'export function findRoute(' },
  },
  {
    tests: [
      'a prefix > matches in any spelling',
      'a prefix > in another spelling',
      'a prefix > is not matched across',
    ],
    contract:
      'A percent-encoded letter counts as that letter: `/%61pi/orders` matches the route `/api/orders`.',
    read: contract,
    hints: [
      'Which part of the target is compared, and which is forwarded? Only one of them may be decoded.',
      'Split the raw path at its slashes first, then decode each segment for the comparison: so %2F never separates segments. Cut what follows the prefix out of the raw target.',
    ],
    code: { file: 'route.ts', from: 'return (request: FastifyRequest' },
  },
  {
    tests: ['a prefix > '],
    contract:
      'The prefix is removed once, from the start of the path, and the path of the service URL is put in its place. The rest, with the query, reaches the service byte for byte: `/api/orders?x=1` as `/?x=1`, `%2F` as `%2F`.',
    read: contract,
    hints: [
      'What replaces the prefix, and what is sent when nothing is left?',
      'Target for the service: the path of its URL (a bare / counts as empty), then what follows the prefix, query included. If that does not begin with a slash, put one in front: /api/orders?x=1 becomes /?x=1.',
    ],
    code: { file: 'route.ts', from: 'return (request: FastifyRequest' },
  },
  {
    tests: ['the rest of the target > ', 'a raw byte outside ASCII > '],
    contract: 'The rest, with the query, reaches the service byte for byte',
    read: contract,
    hints: [
      'Does the target pass through a URL parser? Parsers normalise what they parse.',
      'Cut the rest out of the target as it came, with string operations. Use no new URL(), no decoding and encoding again, no parsed query. Give the HTTP client a path, not a URL, so that //evil.example stays a path. Where the parser of Node refuses a byte before your handler runs, answer in the event clientError of the server, with a problem.',
    ],
    code: { file: 'route.ts', from: 'return (request: FastifyRequest' },
  },
  {
    tests: ['a dot segment > ', 'a target > with ', 'a target > of *'],
    contract:
      'An ambiguous request gets 400 `bad-request`, and no service is called: dot segments in any spelling, a backslash in the path, `#`, an invalid percent-escape, two `Host` fields, no `Host` in HTTP/1.1, `Content-Length` together with `Transfer-Encoding`, two `Content-Length` fields, a `Transfer-Encoding` other than `chunked`.',
    read: 'docs/errors.md#bad-request',
    hints: [
      'In how many spellings can one write two dots between slashes?',
      'Refuse before routing: search the raw path (not the query) for one or two dots between separators. A dot may be written as %2e, a separator as /, %2f, %5c or a backslash, and a segment may end at ";". Also refuse #, a target without a leading slash, and an invalid percent-escape. The parser of Node refuses some targets before your handler runs: answer those in the event clientError of the server, with a problem.',
    ],
    code: { file: 'well-formed.ts', from: 'const DOT_SEGMENT' },
  },
  {
    tests: ['a target > that no prefix matches'],
    contract: 'No route: 404 `no-route`, and no service is called.',
    read: 'docs/errors.md#no-route',
    hints: [
      'What does a request get that matches no route, and what writes that response?',
      'Answer 404 as application/problem+json with the type urn:gateway:problem:no-route, for every method, at once. Look routes up in a Map or by comparing segments: a plain object has inherited keys such as constructor.',
    ],
    code: { file: 'route.ts', from: 'const NO_ROUTE' },
  },
  {
    tests: ['a target > that is refused leaves'],
    contract: 'The connection stays usable after a refusal, if the body of the request has come with it.',
    read: 'docs/contract.md#refusals',
    hints: [
      'Three requests come on one connection, and two are refused. Does the third still get its response?',
      'A refusal is a response like any other, with its Content-Length. Do not close the connection for it; only what the parser itself refuses ends the connection.',
    ],
    code: { file: 'problem.ts', from: 'export function sendProblem(' },
  },
  {
    tests: ['health and log > GET /health', 'health and log > /health is not logged'],
    contract:
      'The gateway is ready when `GET /health` answers 200 `{"status":"ok"}`. This health check needs no key, no Redis and no service, uses no quota and is not logged. No route can replace it. Only GET and HEAD are health checks; `/health` with another method is an ordinary request.',
    read: 'docs/contract.md#environment',
    hints: [
      'The health check is not a stage of the pipeline.',
      'Answer GET /health before any stage runs, as application/json, and leave it out of the log.',
    ],
    code: { file: 'gateway.ts', from: "gateway.get('/health'" },
  },
  {
    tests: ['health and log > has a line for what the parser refuses'],
    contract: 'What the HTTP parser refuses is logged once, too',
    read: 'docs/contract.md#log',
    hints: [
      'The parser refuses before there is a request object. Which part of your code knows of it?',
      'Write the line where you answer the parser error: the status, refusedBy parse, and null for method, path, route and service. Do not log the bytes that came, because they may contain secrets.',
    ],
    code: { file: 'refuse-unparsed.ts', from: 'export function refuseUnparsed(' },
  },
  {
    tests: ['health and log > '],
    contract: 'stdout is JSON, one object per line',
    read: 'docs/contract.md#log',
    hints: [
      'Programs read the log. What must a line contain so that a program can use it?',
      'Write one JSON object per line and per finished request, with the fields of the table. Log the path without its query. A refusal names its stage in refusedBy. Nothing else may write to stdout, and nothing to stderr.',
    ],
    code: { file: 'access-log.ts', from: 'export function accessLog(' },
  },
  {
    tests: ['is followed by DRAIN_DELAY_MS', 'comes a second time'],
    contract: 'With `DRAIN_DELAY_MS` the drain begins that long after the signal.',
    read: 'docs/contract.md#signals',
    hints: [
      'What does a load balancer do with its requests between the signal and its next health check?',
      'Begin to close only when the delay is over: until then the listener accepts, kept connections stay open, and the 10 s for requests in flight do not run. Your framework may limit the time of a hook. Handle each signal once, so that the second one ends the process, as it does by default.',
    ],
    hintsWithoutFastify: [
      'What does a load balancer do with its requests between the signal and its next health check?',
      'Begin to close only when the delay is over: until then the listener accepts, kept connections stay open, and the 10 s for requests in flight do not run. Handle each signal once, so that the second one ends the process, as it does by default.',
    ],
    code: { file: 'drain.ts', from: 'export function prepareDrain(' },
  },
  {
    tests: ['for the rest of a request header'],
    contract:
      'A connection without a request, or with half a request header, stays open for half a second, because its next request may be on its way or not read yet.',
    read: 'docs/contract.md#signals',
    hints: [
      'Which connections hold up the stop although no request is in progress on them?',
      'A server counts a connection as busy once the first byte of a header has arrived. Half a second after the drain has begun, close every connection without a response in progress and without a body that still arrives.',
    ],
    code: { file: 'drain.ts', from: 'function isUnused(' },
  },
  {
    tests: ['sends every answer that has begun to its last byte'],
    contract: 'An answer that has begun is sent to its last byte, however late the client reads it.',
    read: 'docs/contract.md#signals',
    hints: [
      'When is a response over: when your code has written its end, or when the client can have all of it?',
      'The end of a response may wait in a buffer of the process while the client does not read. Close a connection as idle only when nothing is left to be sent on it.',
    ],
    code: { file: 'drain.ts', from: 'function hasUnsentResponse(' },
  },
  {
    tests: ['a signal to stop > '],
    contract:
      'On SIGTERM, SIGINT or SIGHUP the gateway accepts no more connections, closes idle ones at once, finishes the requests in flight, and exits with 0.',
    read: 'docs/contract.md#signals',
    hints: [
      'What may still happen after the signal, what may not, and when does the waiting end?',
      'Close the listener. Close idle connections; Node does not count those as idle that have never carried a request, so close them too, after half a second, because their first request may be on its way. Answer what is in flight with Connection: close, exit with 0 when all is done, and cut off the rest after 10 s. A wrapper such as a shell script must pass the signal on.',
    ],
    code: { file: 'drain.ts', from: 'export function prepareDrain(' },
  },
  {
    tests: ['an idle connection of a client > '],
    contract:
      'An idle connection of a client is closed `KEEP_ALIVE_TIMEOUT_MS` after the last answer, up to a second later.',
    read: 'docs/config.md#behind-a-balancer',
    hints: [
      'Who should close an idle connection first, the balancer or the gateway, and why?',
      'Pass the value to the server as its timeout for idle keep-alive connections. In Node it is keepAliveTimeout; some versions add up to a second.',
    ],
    code: { file: 'http-server.ts', from: 'serverFactory: (handle) => {' },
  },
  {
    tests: ['environment > ', 'the environment variable '],
    contract:
      'With a bad variable, a bad config or a port in use, the gateway does not start: exit code 1, nothing listens, one message on stderr, no stack trace.',
    read: 'docs/contract.md#environment',
    hints: [
      'All settings of a gateway come from environment variables. What happens when one is wrong?',
      'Check PORT and LOG_LEVEL before anything starts. Print one message to stderr that names the variable, or host and port, and exit with 1. With PORT=0, log the port that was chosen.',
    ],
    code: { file: 'config.ts', from: 'const environmentSchema' },
  },
  {
    tests: ['a config > may begin with a byte order mark'],
    contract: 'It may begin with a byte order mark.',
    document: 'docs/config.md',
    read: 'docs/config.md#the-config-file',
    hints: [
      'Which bytes do some editors write in front of a text file in UTF-8?',
      'Remove U+FEFF from the start of the text before you parse it. The error of JSON.parse() does not show the character.',
    ],
    code: { file: 'config.ts', from: 'export function readConfig(' },
  },
  {
    tests: ['a config > may name its schema'],
    contract:
      'The path or URL of a JSON Schema in `$schema` is for editors: a gateway accepts and ignores it.',
    document: 'docs/config.md',
    read: 'docs/config.md#complete-it-in-an-editor',
    hints: [
      'An editor checks the file by a schema that the file itself names. Where does the name stand?',
      'Unknown fields are refused, so `$schema` at the top must be a known one: an optional string that you never read.',
    ],
    code: { file: 'config.ts', from: 'export const configSchema' },
  },
  {
    tests: ['a bad config > with a key that occurs twice', 'a bad config > names both lines'],
    contract:
      'A key that occurs twice in one object of the config is a bad field, too: the message has its path and both lines.',
    read: 'docs/config.md#what-is-refused',
    hints: [
      'A JSON parser that finds a key twice takes one of the values. Which one would the operator expect?',
      'A parsed object no longer shows that a key was there twice. Walk through the text, or through a syntax tree with positions, and note the line of each key per object. Compare the keys after their escapes are decoded.',
    ],
    code: { file: 'repeated-keys.ts', from: 'export function findRepeatedKeys(' },
  },
  {
    tests: ['a bad config > has a prefix that is set twice'],
    contract: 'A prefix, client id or digest that occurs twice is named with both places.',
    read: 'docs/config.md#what-is-refused',
    hints: [
      'An operator must find both places. Which of them does your message name?',
      'Keep the first place of each value in a map, and name it in the message of the second one.',
    ],
    code: { file: 'route.ts', from: '.superRefine(' },
  },
  {
    tests: ['a bad config > '],
    contract: 'The message lists every bad field with its path, or names host and port.',
    read: 'docs/config.md#what-is-refused',
    hints: [
      'An operator fixes a config once, or ten times. How many mistakes does one message name?',
      'Collect all mistakes instead of throwing at the first one: missing fields, unknown fields, wrong values, names of services that do not exist, repeated prefixes. Write one line each, beginning with the path of the field, such as routes[2].prefix: …',
    ],
    code: { file: 'start-error.ts', from: 'export function validate<' },
    whenItDoesNotStart: true,
  },
];
