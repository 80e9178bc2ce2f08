// The lower bound in Node: node:http, undici's dispatch and back-pressure, without the rules that a gateway must follow.
import { createServer } from 'node:http';
import { Pool } from 'undici';

const { PORT, FAST_URL, NODE_URL } = process.env;
const fast = new Pool(FAST_URL);
const node = new Pool(NODE_URL);

createServer((request, response) => {
  const { url, method, headers } = request;
  // `Connection: close` is not forwarded: undici 7 ends the process when the service closes after the client has left.
  const closes = headers.connection === 'close';
  if (closes) headers.connection = undefined;
  const pool = url.startsWith('/node/') ? node : fast;
  const body = method === 'GET' ? null : request;
  pool.dispatch(
    { path: url.slice('/fast'.length), method, headers, body },
    {
      onRequestStart() {},
      onResponseStart(_controller, status, answerHeaders) {
        if (closes) answerHeaders.connection = 'close';
        response.writeHead(status, answerHeaders);
      },
      onResponseData(controller, chunk) {
        if (response.write(chunk)) return;
        controller.pause();
        response.once('drain', () => controller.resume());
      },
      onResponseEnd() {
        response.end();
      },
      onResponseError() {
        response.destroy();
      },
    },
  );
}).listen({ port: Number(PORT), host: '127.0.0.1', backlog: 4096 });
