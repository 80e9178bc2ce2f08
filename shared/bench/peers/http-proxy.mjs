// http-proxy with a keep-alive agent: without one it opens a connection per request.
import { Agent, createServer } from 'node:http';
import httpProxy from 'http-proxy';

const { PORT, FAST_URL, NODE_URL } = process.env;
const proxy = httpProxy.createProxyServer({ agent: new Agent({ keepAlive: true }), xfwd: true });
proxy.on('error', (_error, _request, response) => response.destroy());
createServer((request, response) => {
  const target = request.url.startsWith('/node/') ? NODE_URL : FAST_URL;
  request.url = request.url.slice('/fast'.length);
  proxy.web(request, response, { target });
}).listen(Number(PORT), '127.0.0.1');
