import pretty from 'pino-pretty';

const inMessage = ['method', 'path', 'route', 'service', 'status', 'durationMs', 'client', 'refusedBy'];
// Left out, so that a request fits on one line. --json shows them.
const details = ['address', 'source', 'upstreamMs', 'bytesOut', 'limit'];

const prettify = pretty.prettyFactory({
  colorize: pretty.isColorSupported && process.stdout.isTTY,
  translateTime: 'SYS:HH:MM:ss',
  ignore: ['pid', 'hostname', ...inMessage, ...details].join(','),
  singleLine: true,
  messageFormat: (line) => (line.msg === 'request' ? describeRequest(line) : describeOther(line)),
});

/** Formats a JSON log line of a gateway for people. A line that is not JSON is returned unchanged. */
export function prettifyLine(line: string): string {
  return prettify(line).trimEnd();
}

function describeRequest(line: Record<string, unknown>): string {
  const { method, path, status, durationMs, service, client, refusedBy } = line;
  const by = refusedBy === undefined ? (service ?? 'no service') : `refused by ${refusedBy}`;
  const whose = client ? `, ${client}` : '';
  const what = method === null ? 'An unreadable request' : `${method} ${path}`;
  return `${what} ${status} in ${Number(durationMs).toFixed(1)} ms (${by}${whose})`;
}

function describeOther({ msg, service }: Record<string, unknown>): string {
  return service === undefined ? String(msg) : `${msg} (${service})`;
}
