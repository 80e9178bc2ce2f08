import { devNull } from 'node:os';
import { defaultAdminPort, type RunOptions } from './options.ts';

const key = '-H "X-API-Key: demo-mobile-app-key"';
// curl expands [1-7] itself, in every shell.
const statusOnly = `-s -o ${devNull} -w "%{http_code}\\n"`;

/** Three example calls per phase, beginning with phase 0. A later phase without examples gets the last ones. */
const tries: Array<(url: string, orders: string, admin: string) => Array<[what: string, command: string]>> = [
  (url, orders) => [
    ['the inventory, through the gateway', `curl ${url}/api/inventory`],
    [
      'one answer of orders will announce a trailer, which is harmless',
      `curl ${orders}/_faults -d fault=trailer -d times=1`,
    ],
    ['an HTTP/1.0 client asks for it: this kills the gateway', `curl -i --http1.0 ${url}/api/orders/1`],
  ],
  (url) => [
    ['the inventory, through the gateway', `curl ${url}/api/inventory`],
    ['the request that the orders service gets', `curl "${url}/api/orders/echo?x=1"`],
    ['no route matches: 404', `curl -i ${url}/api/nothing`],
  ],
  (url) => [
    ['orders needs a key: 401 without one', `curl -i ${url}/api/orders/1`],
    ['with a key: 200', `curl ${key} ${url}/api/orders/1`],
    ['a wrong key is refused on public routes too', `curl -i -H "X-API-Key: wrong" ${url}/api/inventory`],
  ],
  (url) => [
    ['the requests left: see the RateLimit field', `curl -i ${url}/api/inventory/1`],
    ['too many without a key: 429', `curl ${statusOnly} "${url}/api/inventory/1?[1-7]"`],
    ['a client has a limit of its own', `curl -i ${key} ${url}/api/orders/1`],
  ],
  (url, orders) => [
    ['break the orders service', `curl ${orders}/_faults -d fault=status -d status=500`],
    [
      '500 until the circuit opens, then 503 at once',
      `curl ${statusOnly} ${key} "${url}/api/orders/1?[1-5]"`,
    ],
    ['repair it; the circuit closes after its cooldown', `curl -X DELETE ${orders}/_faults`],
  ],
  (url, _orders, admin) => [
    [
      'the same id in the response, the log and the service',
      `curl -i -H "X-Request-Id: my-call-1" ${url}/api/inventory/1`,
    ],
    ['the metrics', `curl ${admin}/metrics`],
    ['the state of each circuit', `curl ${admin}/circuits`],
  ],
  (url) => [
    ['a new trace: the service gets it in traceparent', `curl ${url}/api/inventory/echo`],
    [
      'your trace: the service gets it, and the log has its id',
      `curl -H "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" ${url}/api/inventory/echo`,
    ],
    ['a malformed one is replaced', `curl -H "traceparent: 1" ${url}/api/inventory/echo`],
  ],
];

/** The calls of npm start: one for each answer that the newest phase gives of its own, in this order. */
function startTries(url: string, orders: string): Array<[what: string, command: string]> {
  return [
    ['200: a client with a key', `curl -i ${key} ${url}/api/orders/1`],
    ['401: orders needs a key', `curl -i ${url}/api/orders/1`],
    ['429: too many calls without a key', `curl ${statusOnly} "${url}/api/inventory/1?[1-7]"`],
    ['break the orders service', `curl ${orders}/_faults -d fault=status -d status=500`],
    // Few calls, so that a client may try everything twice before its own limit of 10 is reached.
    [
      '503: its errors pass, until the circuit opens',
      `curl ${statusOnly} ${key} "${url}/api/orders/1?[1-4]"`,
    ],
    ['repair it; the circuit closes after its cooldown', `curl -X DELETE ${orders}/_faults`],
  ];
}

/** The text that the run command prints when the gateways are ready. */
export function greet(
  { phase, isNamed, config, services }: RunOptions,
  urls: string[],
  ports: RunOptions['servicePorts'],
  adminPorts: number[],
): string {
  const [url = ''] = urls;
  const inventory = `http://127.0.0.1:${ports.inventory}`;
  const orders = `http://127.0.0.1:${ports.orders}`;
  const facts = [`gateway   ${urls.join('  ')}`];
  const admins = adminPorts.map((port) => `http://127.0.0.1:${port}`);
  if (admins.length > 0) facts.push(`admin     ${admins.join('  ')}`);
  if (config) facts.push(`config    ${config}`);
  if (services) facts.push(`services  inventory ${inventory}  orders ${orders}`);
  if (phase.number >= 2 && !config) facts.push('keys      demo-mobile-app-key  demo-partner-web-key');
  if (phase.number >= 3) facts.push(`Redis     ${describeRedis(process.env.REDIS_URL)}`);

  const demo = isNamed ? (tries[phase.number] ?? tries.at(-1)) : startTries;
  // The routes of the user's own config are not known here.
  const calls =
    config || !demo ? [['the health check', `curl -i ${url}/health`]] : demo(url, orders, admins[0] ?? '');
  if (!isNamed && admins[0]) calls.push(['what it counts, in another terminal', showDashboard(admins[0])]);
  return `
Phase ${phase.name} is ready.

${facts.map((fact) => `  ${fact}`).join('\n')}

Try:
${calls.map(([what, command]) => `  # ${what}\n  ${command}`).join('\n')}

Ctrl-C stops everything.
`;
}

/** The dashboard looks at the default admin port unless it gets a URL. */
function showDashboard(admin: string): string {
  const isDefault = admin === `http://127.0.0.1:${defaultAdminPort}`;
  return isDefault ? 'npm run dashboard' : `npm run dashboard -- ${admin}/metrics`;
}

/** Host and port only: the URL may hold a password. */
function describeRedis(url: string | undefined): string {
  if (!url) return 'embedded, for this process only (set REDIS_URL to use a real one)';
  return URL.canParse(url) ? new URL(url).host : 'the one in REDIS_URL';
}
