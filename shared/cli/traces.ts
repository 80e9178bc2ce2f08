import { type Collector, type Span, startCollector } from '../process/collector.ts';
import { until } from '../process/until.ts';
import { withGateway } from '../recordings/gateway.ts';
import { defaultPorts } from '../repository/demo-ports.ts';
import { findPhase } from '../repository/phases.ts';
import { readArguments } from '../terminal/arguments.ts';
import { CliError, runCommand } from '../terminal/cli-error.ts';
import { colour } from '../terminal/colour.ts';
import { readPort, refuseWords } from '../terminal/option-values.ts';
import { formatTrace } from '../traces/tree.ts';
import { startDemoServices } from '../upstreams/demo-services.ts';

// The port of OTLP over HTTP.
const defaultPort = 4318;

// A trace is printed when it has got no span for this long. Two gateways export their parts at different times.
const quietMs = 500;

const usage = `Runs a collector of OpenTelemetry and prints each trace as a tree with times.

  npm run traces -- [options]

  --demo          starts a gateway of phase 6 and the demo services, too, sends four requests, and ends
  --port NUMBER   default ${defaultPort}; 0 picks a free one
  --help          this text

Ctrl-C ends it.`;

await runCommand(async () => {
  const { values, positionals } = readArguments(usage, {
    demo: { type: 'boolean' },
    port: { type: 'string' },
    help: { type: 'boolean', short: 'h' },
  });
  if (values.help) return console.log(usage);
  refuseWords(usage, positionals);
  if (values.demo && values.port !== undefined)
    throw new CliError(`--demo picks its ports itself.\n\n${usage}`);
  if (values.demo) await demonstrate();
  else await collect(readPort('port', values.port, defaultPort));
});

async function collect(port: number): Promise<void> {
  const { url } = await listen(port, printWhenQuiet());
  console.log(`Collecting spans at ${url}. Ctrl-C ends it.
Next, in other terminals: the demo services, a gateway that exports its spans, and a request:
  npm run services
  OTEL_EXPORTER_OTLP_ENDPOINT=${url} OTEL_BSP_SCHEDULE_DELAY=200 npm run phase:6
  curl -i http://127.0.0.1:3000/api/inventory/1
`);
}

/** Returns what takes spans and prints each trace when it has got no span for a while. */
function printWhenQuiet(): (spans: Span[]) => void {
  const waiting = new Map<string, { spans: Span[]; timer: NodeJS.Timeout }>();
  const print = (traceId: string) => {
    console.log(`${formatTrace(waiting.get(traceId)?.spans ?? [])}\n`);
    waiting.delete(traceId);
  };
  return (spans) => {
    for (const span of spans) {
      const { traceId } = span;
      const trace = waiting.get(traceId) ?? { spans: [], timer: setTimeout(print, quietMs, traceId) };
      trace.spans.push(span);
      trace.timer.refresh();
      waiting.set(traceId, trace);
    }
  };
}

async function listen(port: number, onSpans: (spans: Span[]) => void): Promise<Collector> {
  try {
    return await startCollector(port, onSpans);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    throw new CliError(
      `The port ${port} is in use. Stop the program that uses it, or choose another one: npm run traces -- --port 0`,
    );
  }
}

/** Four requests: a good one, a slow one, one whose response is cut, and one that is refused. */
async function demonstrate(): Promise<void> {
  const collector = await startCollector();
  const requests: Array<[what: string, path: string, spans: number, fault?: string]> = [
    ['A request that is answered', '/api/inventory/1', 2],
    ['The service takes 200 ms', '/api/inventory/1', 2, 'fault=slow&ms=200&times=1'],
    ['The service breaks off in the middle of its response', '/api/inventory/1', 2, 'fault=cut&times=1'],
    ['A request without a key, for a protected route', '/api/orders/1', 1],
  ];
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_BSP_SCHEDULE_DELAY: '50' };
  try {
    await withGateway(
      findPhase('6'),
      startDemoServices,
      async (ports) => {
        const at = (port: number, path: string) => `http://127.0.0.1:${ports.get(port)}${path}`;
        // The first requests of a process take longer: code is compiled, and a connection is opened.
        for (let i = 0; i < 2; i++) await ask(at(3000, '/api/inventory/1'));
        await until(() => collector.spans.length >= 4, 'the spans of the first requests');
        for (const [what, path, spans, fault] of requests) {
          if (fault) await fetch(at(defaultPorts.inventory, '/_faults'), { method: 'POST', body: fault });
          collector.spans.length = 0;
          await ask(at(3000, path));
          await until(() => collector.spans.length >= spans, 'the spans of the request');
          console.log(`${colour.bold(what)}: GET ${path}\n${formatTrace(collector.spans)}\n`);
        }
      },
      env,
    );
  } finally {
    await collector.close();
  }
  console.log('Next: npm run traces, with a gateway and requests of your own');
}

async function ask(url: string): Promise<void> {
  const response = await fetch(url);
  await response.text().catch(() => ''); // one response is cut
}
