import type { GatewayFile } from './phase-config.ts';
import { isWide } from './wide-networks.ts';

/** A part of a config with which a gateway starts, and which is seldom meant. */
export interface Oddity {
  field: string;
  /** What follows from it. */
  why: string;
}

/** The digests of the demo keys. */
type DemoDigests = ReadonlySet<string>;

type Rule = (config: GatewayFile, demoDigests: DemoDigests) => Oddity[];

const longTimeoutMs = 60_000;

/** What an operator should look at, in the order of the sections of the config. */
export function findOddities(config: GatewayFile, demoDigests: DemoDigests): Oddity[] {
  return rules.flatMap((rule) => rule(config, demoDigests));
}

const unusedServices: Rule = ({ services, routes }) => {
  const used = new Set(routes.map(({ service }) => service));
  return Object.keys(services)
    .filter((name) => !used.has(name))
    .map((name) => ({ field: `services.${name}`, why: 'no route leads to it, so it gets no request.' }));
};

const longTimeouts: Rule = ({ services }) =>
  Object.entries(services)
    .filter(([, { timeoutMs }]) => timeoutMs > longTimeoutMs)
    .map(([name, { timeoutMs }]) => ({
      field: `services.${name}.timeoutMs`,
      why: `when the service hangs, each caller waits for ${seconds(timeoutMs)}. Many balancers give up after 60 s: their callers get an error of the balancer, and the log says 499 instead of 504.`,
    }));

const lockedRoutes: Rule = ({ routes, clients }) =>
  (clients?.length === 0 ? [...routes.entries()] : [])
    .filter(([, { access }]) => access === 'protected')
    .map(([i]) => ({
      field: `routes[${i}].access`,
      why: 'it is protected, but no client has a key, so every request gets 401.',
    }));

const demoKeys: Rule = ({ clients = [] }, demoDigests) =>
  clients.flatMap(({ id, keySha256 }, i) =>
    [...keySha256.entries()]
      .filter(([, digest]) => demoDigests.has(digest))
      .map(([k]) => ({
        field: `clients[${i}].keySha256[${k}]`,
        why: `it is the digest of a demo key. The key is public, so everyone can call as ${id}.`,
      })),
  );

const wideProxies: Rule = ({ trustedProxies = [] }) =>
  [...trustedProxies.entries()]
    .filter(([, network]) => isWide(network))
    .map(([i, network]) => ({
      field: `trustedProxies[${i}]`,
      why: `${network} holds more addresses than your proxies have. A caller with one of them can write X-Forwarded-For itself, and so choose the address that is logged and limited.`,
    }));

const lowLimits: Rule = ({ rateLimit }) =>
  (['identified', 'anonymous'] as const).flatMap((caller) => {
    const policy = rateLimit?.[caller];
    if (!policy || perSecond(policy) >= 1) return [];
    const rate = `${policy.limit} in ${seconds(policy.windowMs)}`;
    return [
      {
        field: `rateLimit.${caller}`,
        why: `${rate} is less than one request per second. A page that sends several at once may use it up, and then gets 429 until the window ends.`,
      },
    ];
  });

const preferredAnonymous: Rule = ({ rateLimit }) =>
  rateLimit && perSecond(rateLimit.anonymous) > perSecond(rateLimit.identified)
    ? [
        {
          field: 'rateLimit.anonymous',
          why: 'it is higher than rateLimit.identified, so a client may send more requests without its key.',
        },
      ]
    : [];

const shortCooldown: Rule = ({ services, circuitBreaker }) => {
  const timeouts = Object.entries(services).map(([name, { timeoutMs }]) => ({ name, timeoutMs }));
  const longest = timeouts.toSorted((a, b) => b.timeoutMs - a.timeoutMs)[0];
  if (!circuitBreaker || !longest || circuitBreaker.cooldownMs >= longest.timeoutMs) return [];
  const { cooldownMs } = circuitBreaker;
  return [
    {
      field: 'circuitBreaker.cooldownMs',
      why: `it is shorter than services.${longest.name}.timeoutMs. When this service hangs, callers wait for ${seconds(longest.timeoutMs)} before the circuit opens, and are spared for only ${seconds(cooldownMs)}.`,
    },
  ];
};

const perSecond = ({ limit, windowMs }: { limit: number; windowMs: number }) => (limit * 1_000) / windowMs;

const seconds = (ms: number) => `${ms / 1_000} s`;

const rules: Rule[] = [
  unusedServices,
  longTimeouts,
  lockedRoutes,
  demoKeys,
  wideProxies,
  lowLimits,
  preferredAnonymous,
  shortCooldown,
];
