import { readFileSync } from 'node:fs';
import http from 'node:http';
import { join } from 'node:path';

// A first gateway in four steps. It forwards requests as long as clients are polite and services healthy.

interface Config {
  services: Record<string, { url: string; timeoutMs: number }>;
  routes: Array<{ prefix: string; service: string }>;
}

const { PORT, HOST, GATEWAY_CONFIG } = process.env;
const file = GATEWAY_CONFIG || join(import.meta.dirname, 'gateway.json');
const { services, routes }: Config = JSON.parse(readFileSync(file, 'utf8'));

const server = http.createServer((request, response) => {
  const { method, url: target = '/', headers } = request;
  if (target === '/health') {
    response.writeHead(200, { 'content-type': 'application/json' }).end('{"status":"ok"}');
    return;
  }

  // 1. Route: find the route whose prefix the path begins with.
  const route = routes.find(({ prefix }) => target.startsWith(prefix));
  const service = route && services[route.service];
  if (!route || !service) return refuse(response, 404, 'No route');

  // 2. Rewrite: the URL of the service takes the place of the prefix.
  const rest = target.slice(route.prefix.length);
  const url = new URL(service.url.replace(/\/$/, '') + (rest.startsWith('/') ? rest : `/${rest}`));

  // 3. Call: send the service the same method, fields and body.
  const call = http.request(url, { method, headers: { ...headers, host: url.host } });
  call.setTimeout(service.timeoutMs, () => refuse(response, 504, 'Service timed out'));
  call.on('error', () => refuse(response, 502, 'Service failed'));
  request.pipe(call);

  // 4. Stream back: send the client the same status, fields and body.
  call.on('response', (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.pipe(response);
  });
});

function refuse(response: http.ServerResponse, status: number, title: string): void {
  if (response.headersSent) return;
  response.writeHead(status, { 'content-type': 'application/problem+json' });
  response.end(JSON.stringify({ type: 'about:blank', title, status }));
}

server.listen(Number(PORT || 3000), HOST || '127.0.0.1', () => {
  const { address, port } = server.address() as { address: string; port: number };
  console.log(JSON.stringify({ level: 30, msg: 'listening', url: `http://${address}:${port}` }));
});
