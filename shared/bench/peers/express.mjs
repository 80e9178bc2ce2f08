// Express with http-proxy-middleware and a keep-alive agent.
import { Agent } from 'node:http';
import express from 'express';
import { createProxyMiddleware } from 'http-proxy-middleware';

const { PORT, FAST_URL, NODE_URL } = process.env;
const agent = new Agent({ keepAlive: true });
const gateway = express();
gateway.use('/fast', createProxyMiddleware({ target: FAST_URL, agent, xfwd: true }));
gateway.use('/node', createProxyMiddleware({ target: NODE_URL, agent, xfwd: true }));
gateway.listen(Number(PORT), '127.0.0.1');
