import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import proxy from '@fastify/http-proxy';
import Fastify from 'fastify';

// The gateway that one writes first: Fastify, a plugin, and a loop over the routes. The README shows how it breaks.

const { PORT, HOST, GATEWAY_CONFIG, LOG_LEVEL } = process.env;
const file = GATEWAY_CONFIG || join(import.meta.dirname, 'gateway.json');
const { services, routes } = JSON.parse(readFileSync(file, 'utf8'));

const gateway = Fastify({ logger: { level: LOG_LEVEL || 'info' } });

gateway.get('/health', () => ({ status: 'ok' }));

for (const { prefix, service } of routes) {
  const { url, timeoutMs } = services[service];
  gateway.register(proxy, { prefix, upstream: url, replyOptions: { timeout: timeoutMs } });
}

await gateway.listen({ port: Number(PORT || 3000), host: HOST || '127.0.0.1' });
