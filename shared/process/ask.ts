import { request } from 'node:http';

/**
 * Sends a request on a new connection. Returns the status of the response, undefined when none comes within `timeoutMs`.
 * It does not use fetch, which refuses some ports that a gateway may listen on, such as 6000.
 */
export function askStatus(
  port: number,
  method: string,
  path: string,
  { host = '127.0.0.1', timeoutMs = 5_000 } = {},
): Promise<number | undefined> {
  return new Promise((resolve) => {
    const call = request({ host, port, method, path, agent: false, timeout: timeoutMs }, (answer) => {
      answer.resume();
      resolve(answer.statusCode);
    });
    call.on('timeout', () => call.destroy());
    call.on('error', () => resolve(undefined));
    call.end();
  });
}

/** Where a health check goes, other than to GET /health on 127.0.0.1. */
export interface HealthCheck {
  host?: string;
  path?: string;
  timeoutMs?: number;
}

/** True when the health check is answered with 200. */
export async function isHealthy(
  port: number,
  { path = '/health', ...options }: HealthCheck = {},
): Promise<boolean> {
  return (await askStatus(port, 'GET', path, options)) === 200;
}
