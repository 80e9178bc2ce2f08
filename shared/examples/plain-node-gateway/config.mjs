import { readFileSync } from 'node:fs';
import { isObject, list, object, record, text, wholeNumber } from './check.mjs';
import { ANONYMOUS } from './identify.mjs';
import { logLevels } from './log.mjs';

const A_DAY_MS = 86_400_000;

// Plain path segments: no escapes, no `.` or `..`, no slash at the end. So a prefix has only one spelling.
const PREFIX = /^(?:\/(?!\.{1,2}(?:\/|$))[\w.~-]+)+$/;
const NAME = /^[\w.-]{1,64}$/;
const DIGEST = /^[\da-f]{64}$/;
const A_NAME = 'must be 1 to 64 letters, digits, dots, dashes or underscores';

const checkConfig = object({
  services: record(
    (name) => NAME.test(name),
    A_NAME,
    object({
      url: text(isServiceUrl, 'must be an http:// or https:// URL without user name, query or fragment'),
      timeoutMs: wholeNumber(1, A_DAY_MS),
    }),
  ),
  routes: list(
    1,
    object({
      prefix: text(
        (prefix) => PREFIX.test(prefix) && prefix !== '/health',
        'must be / and plain path segments, without a slash at the end, and not /health',
      ),
      service: text(() => true, 'must be the name of a service'),
      access: text((word) => ['public', 'protected'].includes(word), 'must be "public" or "protected"'),
    }),
  ),
  clients: list(
    0,
    object({
      id: text((id) => NAME.test(id) && id !== ANONYMOUS, `${A_NAME}, and not ${ANONYMOUS}`),
      keySha256: list(
        1,
        text((digest) => DIGEST.test(digest), 'must be a SHA-256 digest, 64 lower-case hex digits'),
      ),
    }),
  ),
});

/** The gateway cannot start. The message tells the operator every reason. */
export class StartError extends Error {}

/** Reads and checks a config file. Throws a StartError. */
export function readConfig(file) {
  let config;
  try {
    config = JSON.parse(readFileSync(file, 'utf8').replace(/^\uFEFF/, '')); // a byte order mark
  } catch (error) {
    throw new StartError(`Cannot read the config ${file}: ${error.message}`);
  }
  const faults = [];
  const report = (path, message) => faults.push(`  ${path || '(the whole file)'}: ${message}`);
  checkConfig(config, '', report);
  checkReferences(config, report);
  if (faults.length > 0) throw new StartError([`The config ${file} is not usable:`, ...faults].join('\n'));
  return config;
}

/** Reads the environment variables; empty ones count as unset. Throws a StartError. */
export function readEnvironment({ PORT, HOST, GATEWAY_CONFIG, LOG_LEVEL }) {
  const port = PORT || '3000';
  const logLevel = LOG_LEVEL || 'info';
  const faults = [];
  if (!/^\d{1,5}$/.test(port) || Number(port) > 65_535) faults.push('  PORT: must be a port number');
  if (!logLevels.includes(logLevel)) faults.push(`  LOG_LEVEL: must be one of ${logLevels.join(', ')}`);
  if (faults.length > 0) throw new StartError(['The environment is not usable:', ...faults].join('\n'));
  return { port: Number(port), host: HOST || '127.0.0.1', configFile: GATEWAY_CONFIG || undefined, logLevel };
}

/** Checks that need more than one value: names that must exist, and values that must be unique. */
function checkReferences(config, report) {
  const { services, routes, clients } = isObject(config) ? config : {};
  const seen = new Set();
  const once = (value, path, message) => {
    if (value !== undefined && seen.has(value)) report(path, message);
    seen.add(value);
  };
  for (const [i, route] of entries(routes)) {
    const { service, prefix } = Object(route);
    // Not `service in services`: that is true for inherited names such as `constructor`.
    if (typeof service === 'string' && !Object.hasOwn(Object(services), service)) {
      report(`routes[${i}].service`, `no service is called ${JSON.stringify(service)}`);
    }
    once(prefix, `routes[${i}].prefix`, 'an earlier route has this prefix too');
  }
  seen.clear();
  for (const [i, client] of entries(clients)) {
    once(Object(client).id, `clients[${i}].id`, 'an earlier client has this id too');
  }
  seen.clear();
  for (const [i, client] of entries(clients)) {
    for (const [k, digest] of entries(Object(client).keySha256)) {
      once(digest, `clients[${i}].keySha256[${k}]`, 'this digest stands in the config already');
    }
  }
}

function entries(value) {
  return Array.isArray(value) ? value.entries() : [];
}

function isServiceUrl(value) {
  if (!URL.canParse(value)) return false;
  const { protocol, username, password, search, hash } = new URL(value);
  return ['http:', 'https:'].includes(protocol) && username + password + search + hash === '';
}
