// @fastify/http-proxy with its default options.
import httpProxy from '@fastify/http-proxy';
import Fastify from 'fastify';

const { PORT, FAST_URL, NODE_URL } = process.env;
const gateway = Fastify();
gateway.register(httpProxy, { prefix: '/fast', upstream: FAST_URL });
gateway.register(httpProxy, { prefix: '/node', upstream: NODE_URL });
await gateway.listen({ port: Number(PORT), host: '127.0.0.1' });
