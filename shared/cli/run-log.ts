import pretty from 'pino-pretty';

const told = ['method', 'path', 'route', 'service', 'status', 'durationMs', 'client', 'refusedBy'];

const prettify = pretty.prettyFactory({
  colorize: pretty.isColorSupported && process.stdout.isTTY,
  translateTime: 'SYS:HH:MM:ss',
  ignore: ['pid', 'hostname', ...told].join(','),
  singleLine: true,
  messageFormat: (line) => (line.msg === 'request' ? describeRequest(line) : describeOther(line)),
});

/** A JSON log line of a gateway as a line for people; what is not JSON stays as it is. */
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
