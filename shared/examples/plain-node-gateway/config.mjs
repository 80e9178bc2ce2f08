import { readFileSync } from 'node:fs';
import { isObject, list, object, optional, record, text, wholeNumber } from './check.mjs';
import { ANONYMOUS } from './identify.mjs';
import { logLevels } from './log.mjs';
import { randomName } from './loop.mjs';
import { checkKeys } from './repeated-keys.mjs';

const A_DAY_MS = 86_400_000;

// Plain path segments: no escapes, no `.` or `..`, no slash at the end. So a prefix has only one spelling.
const PREFIX = /^(?:\/(?!\.{1,2}(?:\/|$))[\w.~-]+)+$/;
const NAME = /^[\w.-]{1,64}$/;
const DIGEST = /^[\da-f]{64}$/;
const A_NAME = 'must be 1 to 64 letters, digits, dots, dashes or underscores';

const checkConfig = object({
  $schema: optional(text(() => true, 'must be a path or a URL')), // read by editors only
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
  let text;
  let config;
  try {
    text = readFileSync(file, 'utf8').replace(/^\uFEFF/, ''); // a byte order mark
    config = JSON.parse(text);
  } catch (error) {
    throw new StartError(`Cannot read the config ${file}: ${error.message}`);
  }
  const faults = [];
  const report = (path, message) => faults.push(`  ${path || '(the whole file)'}: ${message}`);
  checkKeys(text, report);
  checkConfig(config, '', report);
  checkReferences(config, report);
  if (faults.length > 0) throw new StartError([`The config ${file} is not usable:`, ...faults].join('\n'));
  return config;
}

/** Reads the environment variables; empty ones count as unset. Throws a StartError. */
export function readEnvironment(variables) {
  const faults = [];
  const number = (name, fallback, min, max) => {
    const text = variables[name] || String(fallback);
    const isGood = /^\d{1,8}$/.test(text) && Number(text) >= min && Number(text) <= max;
    if (!isGood) faults.push(`  ${name}: must be a whole number from ${min} to ${max}`);
    return Number(text);
  };
  const environment = {
    port: number('PORT', 3000, 0, 65_535),
    host: variables.HOST || '127.0.0.1',
    configFile: variables.GATEWAY_CONFIG || undefined,
    name: variables.GATEWAY_NAME || randomName(),
    drainDelayMs: number('DRAIN_DELAY_MS', 0, 0, 300_000),
    keepAliveTimeoutMs: number('KEEP_ALIVE_TIMEOUT_MS', 72_000, 1_000, A_DAY_MS),
    logLevel: variables.LOG_LEVEL || 'info',
  };
  if (!NAME.test(environment.name)) faults.push(`  GATEWAY_NAME: ${A_NAME}`);
  if (!logLevels.includes(environment.logLevel))
    faults.push(`  LOG_LEVEL: must be one of ${logLevels.join(', ')}`);
  if (faults.length > 0) throw new StartError(['The environment is not usable:', ...faults].join('\n'));
  return environment;
}

/** Checks that need more than one value: names that must exist, and values that must be unique. */
function checkReferences(config, report) {
  const { services, routes, clients } = isObject(config) ? config : {};
  const prefixes = new Map();
  const ids = new Map();
  const digests = new Map();
  /** Returns the place that had the value before, if there is one. */
  const firstPlace = (places, value, place) => {
    if (typeof value === 'string' && !places.has(value)) places.set(value, place);
    return places.get(value) === place ? undefined : places.get(value);
  };
  for (const [i, route] of entries(routes)) {
    const { service, prefix } = Object(route);
    // Not `service in services`: that is true for inherited names such as `constructor`.
    if (typeof service === 'string' && !Object.hasOwn(Object(services), service)) {
      report(`routes[${i}].service`, `no service is called ${JSON.stringify(service)}`);
    }
    const other = firstPlace(prefixes, prefix, `routes[${i}]`);
    if (other) report(`routes[${i}].prefix`, `${other} has the prefix ${JSON.stringify(prefix)} too`);
  }
  for (const [i, client] of entries(clients)) {
    const { id, keySha256 } = Object(client);
    const other = firstPlace(ids, id, `clients[${i}]`);
    if (other) report(`clients[${i}].id`, `${other} has the id ${JSON.stringify(id)} too`);
    for (const [k, digest] of entries(keySha256)) {
      const place = `clients[${i}].keySha256[${k}]`;
      // The digest is not repeated, because it may be the key itself.
      const same = firstPlace(digests, digest, place);
      if (same) report(place, `is also ${same}`);
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
