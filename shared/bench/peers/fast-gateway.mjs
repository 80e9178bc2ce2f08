// fast-gateway with its default options.
import gateway from 'fast-gateway';

const { PORT, FAST_URL, NODE_URL } = process.env;
const routes = [
  { prefix: '/fast', target: FAST_URL },
  { prefix: '/node', target: NODE_URL },
];
await gateway({ routes }).start(Number(PORT), '127.0.0.1');
