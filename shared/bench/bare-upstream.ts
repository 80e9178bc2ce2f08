// The service behind every gateway, in a process of its own. It does the minimum of work per request.
//   GET  /NUMBER   that many bytes, for example /200
//   GET  /slow     200 bytes, after half a second
//   POST any path  204, when the body has arrived
import { createServer } from 'node:http';

const slowMs = 500;
const bodies = new Map<string, Buffer>();

function bodyFor(path: string): Buffer {
  let body = bodies.get(path);
  if (!body) {
    body = Buffer.alloc(Number(path.slice(1)) || 200, 'x');
    bodies.set(path, body);
  }
  return body;
}

const server = createServer((request, response) => {
  const path = request.url ?? '/';
  const answer = () => {
    const body = bodyFor(path);
    response.writeHead(200, { 'content-type': 'text/plain', 'content-length': body.length });
    response.end(body);
  };
  if (request.method === 'POST') request.resume().once('end', () => response.writeHead(204).end());
  else if (path === '/slow') setTimeout(answer, slowMs);
  else answer();
});
server.listen({ port: Number(process.env.PORT), host: '127.0.0.1', backlog: 4096 });
process.once('SIGTERM', () => process.exit(0));
