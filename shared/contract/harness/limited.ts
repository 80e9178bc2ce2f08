import { type Answer, type SendOptions, send, until } from './client.ts';
import { configFor, type Gateway, type GatewayConfig, startGateway } from './gateway.ts';
import { startUpstream } from './upstream.ts';

// Added to the time limits of the contract, because a busy machine is late.
const noiseMs = 1_500;
const longestPauseMs = 2_000;

/** The fields of `rateLimit` that a test sets. */
export interface Limits {
  whenRedisFails?: 'allow' | 'reject';
  /** The limit of every address, in a window of a minute. By default it is never reached. */
  limit?: number;
  keyPrefix?: string;
}

/** A config with one public route and a limit for each address. The tests choose addresses with X-Forwarded-For. */
export async function limitedConfig(limits: Limits = {}): Promise<GatewayConfig> {
  const { whenRedisFails = 'allow', limit = 1_000_000, keyPrefix } = limits;
  const service = await startUpstream();
  return configFor(
    {
      services: { a: { url: service.url, timeoutMs: 5_000 } },
      routes: [{ prefix: '/a', service: 'a', access: 'public' }],
      trustedProxies: ['127.0.0.1'],
      rateLimit: {
        identified: { limit, windowMs: 60_000 },
        anonymous: { limit, windowMs: 60_000 },
        whenRedisFails,
        ...(keyPrefix === undefined ? {} : { keyPrefix }),
      },
    },
    3,
  );
}

/** Starts a gateway with this config and this Redis. */
export async function startLimited(redisUrl: string, limits?: Limits): Promise<Gateway> {
  return startGateway(await limitedConfig(limits), { env: { REDIS_URL: redisUrl } });
}

/** Sends a request from this address. */
export function ask(gateway: Gateway, address = '203.0.113.1', options: SendOptions = {}): Promise<Answer> {
  return send(gateway, '/a/1', { headers: { 'X-Forwarded-For': address }, ...options });
}

/** Whether the request was counted. */
export function isCounted(answer: Answer): boolean {
  return answer.headers.ratelimit !== undefined;
}

/** Waits until a request is counted, as long as a gateway may need after Redis can count again. */
export function counts(gateway: Gateway): Promise<void> {
  return until(async () => isCounted(await ask(gateway)), 'a request is counted', longestPauseMs + noiseMs);
}

/** The log lines about Redis. */
export function outageLines(gateway: Gateway): Array<Record<string, unknown>> {
  return gateway.log().filter(({ msg }) => /^redis /.test(String(msg)));
}
