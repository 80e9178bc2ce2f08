import { request } from 'node:http';

/**
 * Sends a request to 127.0.0.1 on a new connection; undefined when no response comes within `timeoutMs`. It does not use
 * fetch, which refuses some ports that a gateway may listen on, such as 6000.
 */
export function ask(
  port: number,
  method: string,
  path: string,
  timeoutMs = 5_000,
): Promise<{ status: number } | undefined> {
  return new Promise((resolve) => {
    const call = request(
      { host: '127.0.0.1', port, method, path, agent: false, timeout: timeoutMs },
      (answer) => {
        answer.resume();
        resolve({ status: answer.statusCode ?? 0 });
      },
    );
    call.on('timeout', () => call.destroy());
    call.on('error', () => resolve(undefined));
    call.end();
  });
}
