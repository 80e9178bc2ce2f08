import type { HintGroup } from '../hints.ts';

const chapter = 'phases/2-client-identity/README.md';
const contract = 'docs/contract.md#phase-2-client-identity';

/** Suite 2. */
export const hints: HintGroup[] = [
  {
    sentences: [
      'serves an anonymous request',
      'reads the key from X-API-Key and nowhere else',
      'x_api_key',
      'as a trailer',
    ],
    contract: 'The key comes in `X-API-Key`, and from nowhere else. None: the caller is anonymous.',
    read: contract,
    hints: [
      'Where may a key come from? What is somebody who brings none?',
      'Look at the header field X-API-Key alone: no query, no cookie, no Authorization, no trailer, no other spelling. If the field is not there at all, the caller is anonymous, and public routes are open to it.',
    ],
    code: { file: 'identify.ts', from: 'export function identify(' },
  },
  {
    sentences: ['an empty key', 'a blank key'],
    contract: 'A key that is unknown, empty or repeated: 401 `unknown-key`, on every route, public ones too.',
    read: `${chapter}#traps-it-avoids`,
    hints: [
      'No key and an empty key are two things. Does your code tell them apart?',
      'Ask whether the field is undefined, not whether it is falsy. An empty key is a wrong one.',
    ],
    code: { file: 'identify.ts', from: 'const key = request.headers', lines: 4 },
  },
  {
    sentences: ['repeated'],
    contract: 'A key that is unknown, empty or repeated: 401 `unknown-key`, on every route, public ones too.',
    read: `${chapter}#traps-it-avoids`,
    hints: [
      'What does your server library make of a field that comes twice?',
      'Node joins the values with a comma, other libraries keep the first or the last. Look at all of them (in Node: headersDistinct or rawHeaders) and refuse more than one, equal ones too.',
    ],
    code: { file: 'identify.ts', from: 'function lookUp(' },
  },
  {
    sentences: ['which a plain object would'],
    contract: 'A key that is unknown, empty or repeated: 401 `unknown-key`, on every route, public ones too.',
    read: `${chapter}#traps-it-avoids`,
    hints: [
      'What does a table of keys hold that nobody has put there?',
      'Every plain object has a constructor and a __proto__. Use a Map, with the SHA-256 digest of the key as its key.',
    ],
    code: { file: 'identify.ts', from: 'const byDigest', lines: 5 },
  },
  {
    sentences: [
      'does not take for the key',
      'with bytes outside ASCII',
      'of 8 KiB',
      'white space HTTP allows',
      'in any letter case',
    ],
    contract: 'The config holds SHA-256 digests of keys, one or more per client.',
    read: contract,
    hints: [
      'A key is compared as a whole. What exactly is digested?',
      'Digest the bytes of the field value as they came (Node reads them as latin1: write them back the same way), without white space around them, and look the hex digest up. No trimming of quotes or schemes, no lower case.',
    ],
    code: { file: 'identify.ts', from: 'function lookUp(' },
  },
  {
    sentences: ['finds a key behind'],
    contract: 'The key comes in `X-API-Key`, and from nowhere else.',
    read: 'docs/contract.md#phase-1-routing',
    hints: [
      'How many fields of a request does your server show you?',
      'Node drops those beyond the first 1,000 unless maxHeadersCount says otherwise. A key behind them is a key all the same, and a wrong one is refused.',
    ],
    code: { file: 'http-server.ts', from: 'server.server.maxHeadersCount' },
  },
  {
    sentences: ['serves a known key'],
    contract: 'Whichever key is used, the client is the same.',
    read: contract,
    hints: [
      'How does a key become a client?',
      'Build the table from digest to client once, at the start: each client of the config has a list of digests. A known key is good for public and protected routes.',
    ],
    code: { file: 'identify.ts', from: 'export function identify(' },
  },
  {
    sentences: ['a space between the field name and the colon'],
    contract: 'A target that could mean two things gets 400 `bad-request`, and no service is called',
    read: 'docs/errors.md#bad-request',
    hints: [
      'Is X-API-Key with a space before the colon the same field?',
      'Some servers think so, others do not: the parser must refuse it with 400. Use a strict parser, and let nothing mend the request before.',
    ],
    code: { file: 'well-formed.ts', from: 'export function refuseUnparsed(' },
  },
  {
    sentences: [
      'although Connection names the field',
      'asks for an upgrade',
      'every request of a kept connection',
      'keeps many callers at once apart',
    ],
    contract: 'A key that is unknown, empty or repeated: 401 `unknown-key`, on every route, public ones too.',
    read: contract,
    hints: [
      'Is the key judged for every single request, before anything else happens to its fields?',
      'Judge the fields as they came, before hop-by-hop fields are dropped, and keep the result on the request: nothing of it belongs to the connection or to the module.',
    ],
    code: { file: 'identify.ts', from: 'export function identify(' },
  },
  {
    sentences: [
      'what is refused first > answers 404',
      'what is refused first > answers 400',
      'what is refused first > answers /health',
      'not key-required, when both would do',
    ],
    contract: 'A request that breaks two rules gets the answer of the earlier stage.',
    read: 'docs/contract.md#refusals',
    hints: [
      'Two refusals are possible. Which stage comes first?',
      'parse, route, identify, access, and then forward: a missing route is 404 whatever the key, and a wrong key is told before a missing one. /health stands outside.',
    ],
    code: { file: 'gateway.ts', from: 'gateway.register(async (pipeline)' },
  },
  {
    sentences: ['answers 401 key-required', 'needs a key for', 'answers HEAD on a protected route'],
    contract: 'Anonymous on a protected route: 401 `key-required`.',
    read: 'docs/errors.md#key-required',
    hints: [
      'Who may use a protected route? Does the method matter?',
      'After the caller is identified: if the route is protected and the caller anonymous, answer 401 key-required with WWW-Authenticate: ApiKey realm="gateway", for every method, a CORS preflight too.',
    ],
    code: { file: 'identify.ts', from: 'export function refuseAnonymous(' },
  },
  {
    sentences: ['answers 401 unknown-key', 'gives the same answer to every kind of wrong key'],
    contract: 'All wrong keys get the same answer.',
    read: 'docs/errors.md#unknown-key',
    hints: [
      'Why is a wrong key refused on a public route, where none is needed?',
      'Because its caller wants to hear of it. 401 unknown-key with WWW-Authenticate: ApiKey realm="gateway", the same text for every kind of wrong key, and no service is called, not even connected to.',
    ],
    code: { file: 'identify.ts', from: 'const UNKNOWN_KEY' },
  },
  {
    sentences: ['access hangs on the matched route > '],
    contract:
      '`access` hangs on the route that matched. No spelling of the path slips past it, and a longer prefix has its own.',
    read: `${chapter}#traps-it-avoids`,
    hints: [
      'Does anything decide about access by looking at the text of the URL?',
      'Ask the route that matched for its access, and nothing else. Then every spelling that reaches the service has passed the same gate, and a longer prefix brings its own access.',
    ],
    code: { file: 'identify.ts', from: 'export function refuseAnonymous(' },
  },
  {
    sentences: ['a refused upload > '],
    contract: 'The connection stays usable, also when a refused upload is still on its way.',
    read: 'docs/contract.md#refusals',
    hints: [
      'The refusal is known before the body has come. When is it sent, and what happens to the body?',
      'Answer at once and let the rest be read and thrown away (Node does so for a request that nobody has begun to read). What stands in the body is never read as a request.',
    ],
    code: { file: 'problem.ts', from: 'export function sendProblem(' },
  },
  {
    sentences: ['what stays inside > '],
    contract:
      'The key never reaches a service, the log or an error. The service is not told who the client is.',
    read: contract,
    hints: [
      'Follow the key and the client id: where do they end?',
      'Drop X-API-Key from what the service gets, in every spelling (underscores count as dashes), and trailers altogether. Add no field that names the client, to the service or to the caller.',
    ],
    code: { file: 'headers.ts', from: 'const NOT_TO_SERVICES' },
  },
  {
    sentences: ['the log > '],
    contract:
      'phase 2 on: the id of the client, or `anonymous`; null when the request was refused before the identify stage had an answer',
    read: 'docs/contract.md#log',
    hints: [
      'What may the log say of the caller?',
      'The field client holds the id, whichever key was used, or anonymous. It is null when the key was refused. refusedBy is identify or access. No key, no digest, no query.',
    ],
    code: { file: 'access-log.ts', from: 'export function accessLog(' },
  },
  {
    sentences: ['the config > '],
    contract: 'The message lists every bad field with its path, or names host and port.',
    read: 'docs/config.md#what-is-refused',
    hints: [
      'The config has grown: clients, and access on every route. Which mistakes can one make in them?',
      'Both are required. access is public or protected. A client has an id and a list of digests, 64 lower-case hex digits each; ids and digests stand there once. Name every fault by its path, and never repeat the value: it may be a key.',
    ],
    code: { file: 'identify.ts', from: 'export const clientsSchema' },
    whenItDoesNotStart: true,
  },
];
