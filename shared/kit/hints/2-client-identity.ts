import type { HintGroup } from './hint-group.ts';

const chapter = 'phases/2-client-identity/README.md';
const contract = 'docs/contract.md#phase-2-client-identity';

/** Suite 2. */
export const clientIdentityHints: HintGroup[] = [
  {
    tests: [
      'serves an anonymous request',
      'reads the key from X-API-Key and nowhere else',
      'x_api_key',
      'as a trailer',
    ],
    contract:
      'The key is read from `X-API-Key`, and from nowhere else. Without that field the caller is anonymous.',
    read: contract,
    hints: [
      'Where may a key come from? What is a caller without a key?',
      'Read only the header field X-API-Key: no query, no cookie, no Authorization, no trailer, no other spelling. If the field is absent, the caller is anonymous and may use public routes.',
    ],
    code: { file: 'identify.ts', from: 'export function identify(' },
  },
  {
    tests: ['an empty key', 'a blank key'],
    contract: 'A key that is unknown, empty or repeated: 401 `unknown-key`, on every route, public ones too.',
    read: `${chapter}#traps-it-avoids`,
    hints: [
      'No key and an empty key are two different cases. Does your code distinguish them?',
      'Check whether the field is undefined, not whether it is falsy. An empty key is a wrong key.',
    ],
    code: { file: 'identify.ts', from: 'const key = request.headers', lines: 4 },
  },
  {
    tests: ['repeated'],
    contract: 'A key that is unknown, empty or repeated: 401 `unknown-key`, on every route, public ones too.',
    read: `${chapter}#traps-it-avoids`,
    hints: [
      'What does your server library make of a field that comes twice?',
      'Node joins the values with a comma; other libraries keep the first or the last. Read all of them (in Node: headersDistinct or rawHeaders) and refuse more than one, even if they are equal.',
    ],
    code: { file: 'identify.ts', from: 'function lookUp(' },
  },
  {
    tests: ['which a plain object would'],
    contract: 'A key that is unknown, empty or repeated: 401 `unknown-key`, on every route, public ones too.',
    read: `${chapter}#traps-it-avoids`,
    hints: [
      'Which keys does a lookup table have that you did not put into it?',
      'Every plain object has a constructor and a __proto__. Use a Map, with the SHA-256 digest of the API key as its key.',
    ],
    code: { file: 'identify.ts', from: 'const byDigest', lines: 5 },
  },
  {
    tests: [
      'does not take for the key',
      'with bytes outside ASCII',
      'of 8 KiB',
      'white space HTTP allows',
      'in any letter case',
    ],
    contract: 'The config holds SHA-256 digests of keys, one or more per client.',
    read: contract,
    hints: [
      'A key is compared as a whole. Which bytes exactly are hashed?',
      'Hash the bytes of the field value as they came (Node reads them as latin1: convert them back the same way), without white space around them, and look the hex digest up. Do not remove quotes or schemes, and do not change the letter case.',
    ],
    code: { file: 'identify.ts', from: 'function lookUp(' },
  },
  {
    tests: ['finds a key behind'],
    contract: 'The key is read from `X-API-Key`, and from nowhere else.',
    read: 'docs/contract.md#phase-1-routing',
    hints: [
      'How many header fields of a request does your server pass to your code?',
      'Node drops those after the first 1,000 unless maxHeadersCount says otherwise. A key after them is valid like any other, and a wrong one is refused.',
    ],
    code: { file: 'http-server.ts', from: 'http.maxHeadersCount' },
  },
  {
    tests: ['serves a known key'],
    contract: 'All keys of a client identify the same client.',
    read: contract,
    hints: [
      'How does a key lead to a client?',
      'Build the table from digest to client once, at the start: each client of the config has a list of digests. A known key is accepted on public and protected routes.',
    ],
    code: { file: 'identify.ts', from: 'export function identify(' },
  },
  {
    tests: ['a space between the field name and the colon'],
    contract: 'An ambiguous request gets 400 `bad-request`, and no service is called',
    read: 'docs/errors.md#bad-request',
    hints: [
      'Is X-API-Key with a space before the colon the same field?',
      'Some servers accept it, others do not: the parser must refuse it with 400. Use a strict parser, and let nothing repair the request before it.',
    ],
    code: { file: 'refuse-unparsed.ts', from: 'export function refuseUnparsed(' },
  },
  {
    tests: [
      'although Connection names the field',
      'asks for an upgrade',
      'every request of a kept connection',
      'keeps many callers at once apart',
    ],
    contract: 'A key that is unknown, empty or repeated: 401 `unknown-key`, on every route, public ones too.',
    read: contract,
    hints: [
      'Is the key checked for every single request, before anything else changes its header fields?',
      'Check the fields as they came, before hop-by-hop fields are dropped. Keep the result on the request, not on the connection or in a variable of the module.',
    ],
    code: { file: 'identify.ts', from: 'export function identify(' },
  },
  {
    tests: [
      'what is refused first > answers 404',
      'what is refused first > answers 400',
      'what is refused first > answers /health',
      'not key-required, when both would do',
    ],
    contract: 'A request that breaks two rules gets the answer of the earlier stage.',
    read: 'docs/contract.md#refusals',
    hints: [
      'Two refusals are possible. Which stage comes first?',
      'parse, route, identify, access, and then forward: a missing route is 404 whatever the key, and a wrong key is refused before a missing one. /health is outside the stages.',
    ],
    code: { file: 'gateway.ts', from: 'gateway.register(async (pipeline)' },
  },
  {
    tests: ['answers 401 key-required', 'needs a key for', 'answers HEAD on a protected route'],
    contract: 'Anonymous on a protected route: 401 `key-required`.',
    read: 'docs/errors.md#key-required',
    hints: [
      'Who may use a protected route? Does the method matter?',
      'After the caller is identified: if the route is protected and the caller is anonymous, answer 401 key-required with WWW-Authenticate: ApiKey realm="gateway", for every method, also for a CORS preflight.',
    ],
    code: { file: 'identify.ts', from: 'export function refuseAnonymous(' },
  },
  {
    tests: ['answers 401 unknown-key', 'gives the same answer to every kind of wrong key'],
    contract: 'All wrong keys get the same answer.',
    read: 'docs/errors.md#unknown-key',
    hints: [
      'Why is a wrong key refused on a public route, where no key is needed?',
      'Because the caller has to learn that the key is wrong. Answer 401 unknown-key with WWW-Authenticate: ApiKey realm="gateway", with the same text for every kind of wrong key. Do not call the service, and do not connect to it.',
    ],
    code: { file: 'identify.ts', from: 'const UNKNOWN_KEY' },
  },
  {
    tests: ['access hangs on the matched route > '],
    contract:
      'The `access` of the matched route applies. No other spelling of the path avoids it, and a route with a longer prefix has its own `access`.',
    read: `${chapter}#traps-it-avoids`,
    hints: [
      'Does any part of your code decide about access from the text of the URL?',
      'Use only the access of the matched route. Then every spelling that reaches the service has passed the same check, and a longer prefix has its own access.',
    ],
    code: { file: 'identify.ts', from: 'export function refuseAnonymous(' },
  },
  {
    tests: ['a refused upload > in chunks of 1 byte'],
    contract:
      'Uploads in chunks of 1 byte make other clients wait at most twice as long as the same uploads in chunks of 64 KiB, also when the uploads are refused.',
    read: 'docs/contract.md#phase-1-routing',
    hints: [
      'What does your gateway do for each chunk of an upload that it has refused?',
      'Nothing: stop reading the connection when the refusal is written, and close it in stages.',
    ],
    code: { file: 'problem.ts', from: 'export function sendProblem(' },
  },
  {
    tests: ['a refused upload > '],
    contract:
      'So the refusal reaches the client completely, even if the client reads nothing before it has written everything.',
    read: 'docs/contract.md#refusals',
    hints: [
      'The refusal is known before the body has arrived. When is it sent, and what happens to the body?',
      'Answer at once, with Connection: close if the body is still arriving, and close the connection in stages: read and discard a bounded part of the rest. Bytes of the body must never be parsed as a request.',
    ],
    code: { file: 'problem.ts', from: 'export function sendProblem(' },
  },
  {
    tests: ['what stays inside > '],
    contract:
      'The key is never sent to a service and never appears in the log or in an error. The gateway does not tell the service who the client is.',
    read: contract,
    hints: [
      'Follow the key and the client id: how far do they get?',
      'Drop X-API-Key from what the service gets, in every spelling (underscores count as dashes), and drop all trailers. Add no field that names the client, neither for the service nor for the caller.',
    ],
    code: { file: 'headers.ts', from: 'const NOT_TO_SERVICES' },
  },
  {
    tests: ['the log > '],
    contract:
      'phase 2 on: the id of the client, or `anonymous`; null when the request was refused before its client was identified',
    read: 'docs/contract.md#log',
    hints: [
      'What may the log say about the caller?',
      'The field client holds the id, whichever key was used, or anonymous. It is null when the key was refused. refusedBy is identify or access. Log no key, no digest and no query.',
    ],
    code: { file: 'access-log.ts', from: 'export function accessLog(' },
  },
  {
    tests: ['the config > '],
    contract: 'The message lists every bad field with its path, or names host and port.',
    read: 'docs/config.md#what-is-refused',
    hints: [
      'The config has new fields: clients, and access on every route. Which mistakes are possible in them?',
      'Both are required. access is public or protected. A client has an id and a list of digests of 64 lower-case hex digits each; ids and digests must be unique. Name every mistake by its path, and never print the value: it may be a key.',
    ],
    code: { file: 'identify.ts', from: 'export const clientsSchema' },
    whenItDoesNotStart: true,
  },
];
