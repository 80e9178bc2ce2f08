import type { RequestListener } from 'node:http';
import { startUpstream, type Upstream } from './upstream.ts';

/** How long `slow` and `slow-body` keep the client waiting. */
export const slowMs = 200;

/** The first part of a body that is never completed. */
export const beginning = 'the beginning';

/** Starts a service that obeys the first segment of the path: a status, or a name in `behaviours`. */
export function startFaultyService(): Promise<Upstream> {
  return startUpstream((request, response) => {
    const [, word = ''] = (request.url as string).split(/[/?]/);
    const behave = behaviours[word] ?? answer(Number(word));
    behave(request, response);
  });
}

const behaviours: Record<string, RequestListener> = {
  hang: () => {},
  reset: (request) => void request.socket.resetAndDestroy(),
  close: (request) => void request.socket.destroy(),
  garbage: (request) => void request.socket.end('garbage\r\n\r\n'),
  'large-headers': (_request, response) => void response.setHeader('x-large', 'x'.repeat(20_000)).end(),
  begin: (_request, response) => void response.writeHead(200, { 'content-length': '1000' }).write(beginning),
  cut: (_request, response) => {
    response.writeHead(200, { 'content-length': '1000' });
    response.write(beginning, () => response.socket?.destroy());
  },
  'cut-chunks': (_request, response) => {
    response.writeHead(200);
    response.write(beginning, () => response.socket?.resetAndDestroy());
  },
  'cut-500': (_request, response) => {
    response.writeHead(500, { 'content-length': '1000' });
    response.write(beginning, () => response.socket?.destroy());
  },
  '304-with-length': (_request, response) => void response.writeHead(304, { 'content-length': '1000' }).end(),
  slow: (_request, response) => void setTimeout(() => response.end('at last'), slowMs),
  'slow-body': (_request, response) => {
    response.write('wait ');
    setTimeout(() => response.end('for it'), slowMs);
  },
  chunks: (_request, response) => {
    for (let i = 0; i < 10; i++) response.write('x'.repeat(10_000));
    response.end();
  },
  upload: (request, response) => void request.on('end', () => response.end('received')),
};

function answer(status: number): RequestListener {
  return (request, response) => {
    response.statusCode = status;
    const empty = status === 204 || status === 304 || request.method === 'HEAD';
    response.end(empty ? undefined : `this is ${status}`);
  };
}
