// For tests that need a gateway of their own, because they stop it or set its environment.
import type { RequestListener } from 'node:http';
import { configFor, startGateway } from '../harness/gateway.ts';
import { startUpstream } from '../harness/upstream.ts';

/** A config with one service behind /api. */
export function configTo(url: string, timeoutMs = 60_000) {
  return configFor({
    services: { service: { url, timeoutMs } },
    routes: [{ prefix: '/api', service: 'service' }],
  });
}

/** Starts a gateway with the service at this URL. */
export function startTo(url: string, env: Record<string, string> = {}) {
  return startGateway(configTo(url), { env });
}

/** Starts a gateway and its service. */
export async function start(handler?: RequestListener, env?: Record<string, string>) {
  const service = await startUpstream(handler);
  return { service, gateway: await startTo(service.url, env) };
}
