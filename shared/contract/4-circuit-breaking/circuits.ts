// Two gateways with many services, so that each test has circuits of its own. Importing this file starts them
// before the tests.

import { createHash } from 'node:crypto';
import type http from 'node:http';
import { afterAll, beforeAll, expect } from 'vitest';
import { type Answer, expectProblem, type SendOptions, send, until } from '../harness/client.ts';
import { configFor, type Gateway, startGateway } from '../harness/gateway.ts';
import { type RedisServer, redisAvailable, startRedis } from '../harness/redis.ts';
import { startUpstream, type Upstream } from '../harness/upstream.ts';

/** The number of failures in a row that opens a circuit. */
export const threshold = 3;
/** How long a circuit of the quick gateway stays open. */
export const cooldownMs = 1_500;
/** The timeoutMs of hasty services. */
export const hastyMs = 500;

/** A service whose behaviour the test sets. */
export interface Service {
  name: string;
  target: string;
  upstream: Upstream;
  behave(next: http.RequestListener): void;
}

/** Services with a long timeoutMs. */
export let patient: Service[];
/** Services with a short timeoutMs. */
let hasty: Service[];
/** The Redis of the quick gateway; undefined when there is none on this machine. */
export let redis: RedisServer | undefined;
/** Its cooldown of 30 s is longer than any test. It limits identified clients to 6 calls. */
export let gateway: Gateway;
/** Another process with the same services; its cooldown is short. */
export let quick: Gateway;
const keys = ['key-a', 'key-b', 'key-c', 'key-d'];

async function startService(name: string): Promise<Service> {
  let behaviour = status(200);
  const upstream = await startUpstream((request, response) => behaviour(request, response));
  return {
    name,
    target: `/${name}/x`,
    upstream,
    behave(next) {
      behaviour = next;
    },
  };
}

beforeAll(async () => {
  const start = (kind: string, count: number) =>
    Promise.all(Array.from({ length: count }, (_, i) => startService(`${kind}-${i}`)));
  [patient, hasty, redis] = await Promise.all([
    start('patient', 110),
    start('hasty', 10),
    redisAvailable ? startRedis() : undefined,
  ]);
  const shared = patient[0] as Service;
  const twin = patient[1] as Service;
  const services = Object.fromEntries([
    ...patient.map(({ name, upstream }) => [name, { url: upstream.url, timeoutMs: 10_000 }]),
    ...hasty.map(({ name, upstream }) => [name, { url: upstream.url, timeoutMs: hastyMs }]),
    ['twin', { url: twin.upstream.url, timeoutMs: 10_000 }],
  ]);
  const parts = {
    services,
    routes: [
      ...Object.keys(services).map((name) => ({ prefix: `/${name}`, service: name })),
      { prefix: '/second', service: shared.name },
      { prefix: '/locked', service: shared.name, access: 'protected' as const },
    ],
    clients: keys.map((key) => ({
      id: `client-${key}`,
      keySha256: [createHash('sha256').update(key).digest('hex')],
    })),
  };
  [gateway, quick] = await Promise.all([
    startGateway(
      configFor(
        {
          ...parts,
          rateLimit: { identified: { limit: 6, windowMs: 60_000 } },
          circuitBreaker: { failureThreshold: threshold, cooldownMs: 30_000 },
        },
        4,
      ),
    ),
    startGateway(configFor({ ...parts, circuitBreaker: { failureThreshold: threshold, cooldownMs } }, 4), {
      env: { REDIS_URL: redis?.url ?? '' },
    }),
  ]);
  // The first two are used by several routes and services of the config.
  nextPatient = 2;
});

afterAll(async () => {
  await Promise.all([gateway?.stop(), quick?.stop()]);
  await redis?.close();
});

let nextPatient = 0;
let nextHasty = 0;
/** A service that no other test uses, so that its circuit belongs to the test alone. */
export const newService = () => patient[nextPatient++] as Service;
/** The same, with a short timeoutMs. */
export const newHastyService = () => hasty[nextHasty++] as Service;

/** Sends a request to a service. */
export const call = (service: Service, options?: SendOptions, through = gateway): Promise<Answer> =>
  send(through, service.target, options);

/** The status that a client got, or 'cut' when the answer was incomplete. */
export const outcome = (
  service: Service,
  options?: SendOptions,
  through = gateway,
): Promise<number | 'cut'> =>
  call(service, options, through).then(
    (answer) => answer.status,
    () => 'cut',
  );

/** A handler that answers with this status and these headers. */
export function status(code: number, headers: http.OutgoingHttpHeaders = {}): http.RequestListener {
  return (_request, response) => {
    response.writeHead(code, headers);
    response.end();
  };
}

/** Holds the answers of the service until the test sends them. */
export function hold(service: Service): {
  held: http.ServerResponse[];
  count(wanted: number): Promise<void>;
} {
  const held: http.ServerResponse[] = [];
  service.behave((_request, response) => {
    held.push(response);
  });
  return {
    held,
    count: (wanted) => until(() => held.length >= wanted, `${wanted} calls have reached ${service.name}`),
  };
}

/** Asserts that an open circuit refused the call, and returns the seconds in Retry-After. */
export function expectOpen(answer: Answer): number {
  expectProblem(answer, 503, 'circuit-open');
  expect(answer.headers['retry-after']).toMatch(/^[1-9]\d*$/);
  return Number(answer.headers['retry-after']);
}

/** Opens the circuit with consecutive failures. The cooldown began between `earliest` and `latest`. */
export async function trip(
  service: Service,
  through = gateway,
): Promise<{ earliest: number; latest: number }> {
  service.behave(status(500));
  let earliest = 0;
  for (let i = 0; i < threshold; i++) {
    earliest = Date.now();
    expect(await outcome(service, {}, through)).toBe(500);
  }
  return { earliest, latest: Date.now() };
}

/** Asserts that the circuit is closed and has counted `failures` failures, by making it open. */
export async function expectFailures(service: Service, failures: number, through = gateway): Promise<void> {
  service.behave(status(500));
  for (let i = failures; i < threshold; i++) {
    expect(await outcome(service, {}, through), `failure ${i + 1}`).toBe(500);
  }
  expectOpen(await call(service, {}, through));
}

/** A call that an open circuit refused. */
interface Refusal {
  sent: number;
  received: number;
  retryAfter: number;
}

/** Calls through the quick gateway until the service is reached; returns its answer and the refusals before. */
export async function untilClosed(
  service: Service,
): Promise<{ answer: Answer; at: number; refusals: Refusal[] }> {
  const refusals: Refusal[] = [];
  const before = service.upstream.begun();
  let passed: { answer: Answer; at: number } | undefined;
  await until(
    async () => {
      const sent = Date.now();
      const answer = await call(service, {}, quick);
      const received = Date.now();
      if (service.upstream.begun() > before) passed = { answer, at: received };
      else refusals.push({ sent, received, retryAfter: expectOpen(answer) });
      return passed !== undefined;
    },
    `the circuit of ${service.name} closes`,
    4 * cooldownMs,
  );
  return { ...(passed as { answer: Answer; at: number }), refusals };
}

/** The log lines of the quick gateway with this message and service. */
export const logged = (message: string, service: Service) =>
  quick.log().filter((line) => line.msg === message && line.service === service.name);

/** Waits for the log lines of the quick gateway with this message and service, and asserts their number. */
export async function expectLogged(message: string, service: Service, times: number): Promise<void> {
  await until(() => logged(message, service).length >= times, `"${message}" is in the log`);
  expect(logged(message, service)).toHaveLength(times);
}
