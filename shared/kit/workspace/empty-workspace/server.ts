import { readFileSync } from 'node:fs';
import http from 'node:http';
import { join } from 'node:path';

// A minimal gateway: it starts, answers GET /health, and stops at a signal. Everything else is for you to write.
const { PORT = '3000', HOST = '127.0.0.1', GATEWAY_CONFIG } = process.env;
const config = JSON.parse(readFileSync(GATEWAY_CONFIG || join(import.meta.dirname, 'gateway.json'), 'utf8'));

const server = http.createServer((request, response) => {
  if (request.url === '/health') {
    response.writeHead(200, { 'content-type': 'application/json' }).end('{"status":"ok"}');
    return;
  }
  // 501: "does not support the functionality required to fulfill the request" (RFC 9110 15.6.2).
  const problem = {
    type: 'about:blank',
    title: 'Not written yet',
    status: 501,
    detail: `This gateway knows ${config.routes.length} routes and forwards nothing. PHASE.md says what it owes.`,
  };
  response.writeHead(501, { 'content-type': 'application/problem+json' }).end(JSON.stringify(problem));
});

server.listen(Number(PORT), HOST, () => {
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : PORT;
  console.log(
    JSON.stringify({ level: 30, time: Date.now(), msg: 'listening', url: `http://${HOST}:${port}` }),
  );
});

for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => process.exit(0));
