import { STATUS_CODES } from 'node:http';
import { type Evidence, type Exchange, type ObservedGateway, servicesSaw } from '../../process/evidence.ts';
import { answersIn } from '../../process/http-answers.ts';
import type { Breakdown, Fault, TestResult } from '../../process/test-results.ts';
import { colour } from '../../terminal/colour.ts';
import { count } from '../../terminal/count.ts';
import type { HintGroup } from '../hints/hint-group.ts';
import { chooseHints, findHints, findStartHints } from '../hints/hints.ts';
import { escapeOthers, shorten, spellOut, toCurl } from './curl.ts';
import { keepConfig } from './last-verdict.ts';
import { lastWords } from './last-words.ts';

const silences: Record<string, string> = {
  open: 'the connection was still open',
  'closed by the test': 'the test gave up waiting',
  'closed by the gateway': 'the gateway closed the connection',
  ECONNRESET: 'the gateway reset the connection',
  ECONNREFUSED: 'the connection was refused, because nothing listened on the port',
};
const indent = '   ';
const labelWidth = 10;

/** A failed test in full: the request, the response, what was expected and why, the first hint in its wording. */
export function describeFailure(number: number, test: TestResult, hasFastify: boolean): string {
  const { suite, file, name, faults, evidence } = test;
  const services = faults.find(({ message }) => message.startsWith(servicesSaw));
  const fault = faults.find((one) => one !== services) ?? services;
  return [
    heading(number, `suite ${suite}, ${name}`),
    ...row('', [fault?.place || `shared/contract/${file}`]),
    ...(evidence ? describeEvidence(evidence, fault) : []),
    ...(fault && fault !== services
      ? row(/expected|Not within/.test(fault.message) ? 'expected' : 'error', expectation(fault))
      : []),
    ...row('services', services ? sentencesIn(services) : []),
    ...reason(findHints(suite, name), hasFastify),
  ].join('\n');
}

/** The end of a gateway that should have gone on: when, by which request, and its last words. */
export function describeDeath(number: number, { suite, name, evidence }: TestResult): string {
  const gateway = evidence?.gateways.find(({ died }) => died);
  if (!gateway) return '';
  const last =
    gateway.deadBefore || gateway.asked
      ? undefined
      : evidence?.exchanges.findLast(({ end }) => end !== 'open');
  return [
    heading(number, `the gateway died: ${ending(gateway)}`),
    ...row(gateway.deadBefore ? 'before' : 'during', [`suite ${suite}, ${name}`]),
    ...(last ? row('sent', sentLines(last)) : []),
    ...row('output', gateway.complaints.trim() ? quote(gateway) : ['it printed nothing before its end']),
  ].join('\n');
}

/** What deaths with one cause have in common: how the gateway ended, and the first of its last words. */
export function causeOfDeath({ evidence }: TestResult): string {
  const gateway = evidence?.gateways.find(({ died }) => died);
  return gateway ? [ending(gateway), ...quote(gateway).slice(0, 4)].join('\n') : '';
}

/** What runs while a failed test is held: the gateways that it called, their configs, and the services of its requests. */
export function describeHeld({ evidence }: TestResult): string {
  const running = evidence?.gateways.filter(({ exit }) => exit === undefined) ?? [];
  const isCalled = ({ env }: ObservedGateway) =>
    evidence?.exchanges.some(({ port }) => String(port) === env.PORT) ?? false;
  const shown = running.some(isCalled) ? running.filter(isCalled) : running;
  const targets = evidence?.exchanges.map(({ sent }) => sent.split(' ', 2)[1] ?? '') ?? [];
  return shown
    .flatMap(({ env, config }) => [
      ...row('gateway', [`http://${env.HOST}:${env.PORT}`]),
      ...row('config', [keepConfig(config)]),
      ...row('services', limit(servicesOf(config, targets), 8)),
    ])
    .join('\n');
}

/** A line per route that one of the targets may match; of all routes when none does. */
function servicesOf(config: string, targets: string[]): string[] {
  let parsed: { services?: Record<string, { url?: string }>; routes?: Array<Record<string, string>> };
  try {
    parsed = JSON.parse(config);
  } catch {
    return [];
  }
  const { services = {}, routes = [] } = parsed;
  const isMeant = ({ prefix = '' }) => targets.some((target) => target.startsWith(prefix));
  const shown = routes.some(isMeant) ? routes.filter(isMeant) : routes;
  return shown.map(({ prefix, service = '' }) => `${prefix} leads to ${service}, ${services[service]?.url}`);
}

/** A failure outside the tests, such as a gateway that did not start for a whole file. */
export function describeBreakdown(number: number, breakdown: Breakdown, hasFastify: boolean): string {
  const { suite, file, block, fault, unreached } = breakdown;
  const where =
    suite === 0 ? 'outside any sentence' : `suite ${suite}, ${[file, block].filter(Boolean).join(', ')}`;
  const left = unreached > 0 ? [`${count(unreached, 'sentence')} could not be judged because of it`] : [];
  const isStart = /gateway (?:ended before|could not|has not been)|^Not ready after|GATEWAY_COMMAND/.test(
    fault.message,
  );
  return [
    heading(number, `${where}: ${isStart ? 'the gateway did not start' : 'this part failed'}`),
    ...row('', [fault.place, ...left]),
    ...row(
      'error',
      limit(
        withoutFolder(fault.message)
          .split('\n')
          .filter((line) => line.trim() !== '')
          .map((line) => shorten(line)),
        20,
      ),
    ),
    ...(isStart ? reason(findStartHints(suite), hasFastify) : []),
  ].join('\n');
}

function heading(number: number, text: string): string {
  return `${colour.red(String(number).padStart(2))} ${colour.bold(text)}`;
}

/** Lines after a label; empty when there are no lines. */
function row(label: string, lines: string[]): string[] {
  return lines
    .filter((line, i) => i > 0 || line !== '')
    .map((line, i) => {
      const head = i === 0 ? colour.cyan(label.padEnd(labelWidth)) : ' '.repeat(labelWidth);
      return `${indent}${head} ${line}`.trimEnd();
    });
}

function reason(group: HintGroup | undefined, hasFastify: boolean): string[] {
  if (!group) return [];
  return [
    ...row('why', [group.contract]),
    ...row('hint', [chooseHints(group, hasFastify)[0]]),
    ...row('read', [group.read]),
  ];
}

function describeEvidence({ exchanges, gateways }: Evidence, fault: Fault | undefined): string[] {
  const own = gateways.filter(({ ownStart }) => ownStart);
  const chosen = chooseExchange(exchanges, fault);
  const dead = gateways.filter(({ died }) => died);
  const lines = chosen
    ? [
        ...row('before', summarise(exchanges.slice(0, exchanges.indexOf(chosen)))),
        ...row('sent', sentLines(chosen)),
        ...row('received', receivedLines(chosen)),
      ]
    : own
        .slice(-1)
        .flatMap((gateway) => [
          ...row('started', startLines(gateway)),
          ...row('result', [ending(gateway), ...quote(gateway)]),
        ]);
  const complaints = chosen ? gateways.flatMap(quote) : [];
  return [...lines, ...row('ended', dead.map(ending)), ...row('output', complaints)];
}

/** The exchange that a failed assertion is most likely about: the last one with the status it names, otherwise the last. */
function chooseExchange(exchanges: Exchange[], fault: Fault | undefined): Exchange | undefined {
  const text = `${fault?.actual ?? ''} ${fault?.message ?? ''}`;
  const named = exchanges.findLast(({ sent }) => {
    const [method, target] = sent.split(' ', 2);
    return text.includes(`No complete answer to ${method} ${target} `);
  });
  const actual = /^\d{3}$|(?<="?status"?: )\d{3}/.exec(fault?.actual ?? '')?.[0];
  return (
    named ??
    exchanges.findLast((exchange) => actual !== undefined && statusOf(exchange) === actual) ??
    exchanges.at(-1)
  );
}

function statusOf({ received }: Exchange): string | undefined {
  return /^HTTP\/1\.[01] (\d{3})/.exec(received)?.[1];
}

function sentLines(exchange: Exchange): string[] {
  const curl = toCurl(exchange);
  return curl ? [curl] : spellOut(exchange.sent, exchange.sentBytes);
}

function receivedLines(exchange: Exchange): string[] {
  const { sent, received, receivedBytes, end } = exchange;
  if (receivedBytes === 0) {
    return [`nothing: ${silences[end] ?? end}`];
  }
  const answers = sent.startsWith('HEAD ') || received.length < receivedBytes ? [] : answersIn(received);
  if (answers.length === 0) {
    const note = end === 'open' || end.startsWith('closed') ? [] : [`then ${end}`];
    return [...spellOut(received, receivedBytes), ...note];
  }
  return limit(
    answers.flatMap(({ status, rawHeaders, body: bytes, text }) => {
      const fields = rawHeaders.flatMap((name, i) => (i % 2 === 0 ? `${name}: ${rawHeaders[i + 1]}` : []));
      // Date differs from call to call, and no test checks it.
      const shown = fields.filter((field) => !/^date:/i.test(field)).map((field) => shorten(field));
      // Bytes that are not UTF-8 have no text.
      const lines = text.includes('\ufffd')
        ? spellOut(bytes.toString('latin1'), bytes.length)
        : text.split('\n').map((line) => shorten(line, 600));
      const body = text === '' ? [] : ['', ...lines];
      return [`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`.trimEnd(), ...shown, ...body];
    }),
    24,
  );
}

/** The sentences of an assertion about calls to services. */
function sentencesIn({ actual = '' }: Fault): string[] {
  return [...actual.matchAll(/"(.+)"/g)].map(([, sentence = '']) => sentence);
}

/** Earlier exchanges of a test, one line each. Equal neighbours share a line. */
function summarise(exchanges: Exchange[]): string[] {
  const groups: Array<{ text: string; times: number }> = [];
  for (const exchange of exchanges) {
    const text = `${shorten(escapeOthers(exchange.sent.split(/ HTTP\/|\r\n/, 1)[0] ?? ''), 80)} gets ${statusOf(exchange) ?? 'no answer'}`;
    const last = groups.at(-1);
    if (last?.text === text) last.times++;
    else groups.push({ text, times: 1 });
  }
  return groups.slice(-4).map(({ text, times }) => (times > 1 ? `${text}, ${times} times` : text));
}

function startLines({ command, env, config }: ObservedGateway): string[] {
  const variables = { ...env, GATEWAY_CONFIG: env.GATEWAY_CONFIG ?? keepConfig(config) };
  const shown = Object.entries(variables).map(([name, value]) => `${name}=${value}`);
  return [`${shown.join(' ')} ${command.join(' ')}`];
}

function ending({ exit, died, asked }: ObservedGateway): string {
  if (!exit) return 'it runs';
  if (died && asked) return `after the signal to stop it ended with exit code ${exit.code}`;
  // Without `died`, a test has sent it to a gateway that did not stop.
  if (died && exit.signal === 'SIGKILL')
    return 'it was ended by SIGKILL, perhaps by a system that had no memory left';
  return exit.signal ? `it was ended by ${exit.signal}` : `it ended with exit code ${exit.code}`;
}

function quote({ complaints }: ObservedGateway): string[] {
  return lastWords(withoutFolder(complaints), 12);
}

/** The text of the assertion, without what the exchange above shows already. */
function expectation({ message, diff, expected = '', actual = '' }: Fault): string[] {
  const [first = '', ...others] = message.split('\n').filter((line) => line.trim() !== '');
  const [, subject = '', isEqual] =
    /^(?:(.*?): )?expected .* (to (?:deeply |strictly )*(?:be|equal|match)\b)/.exec(first) ?? [];
  const changes = diff
    .split('\n')
    .filter((line) => line.trim() !== '' && !/^(?:- Expected$|\+ Received$|@@)/.test(line));
  const about = subject === '' ? [] : [`${subject}:`];
  if (isEqual && /^\S{1,40}\n\S{1,40}$/.test(`${expected}\n${actual}`))
    return [...about, `${expected}, not ${actual}`];
  if (changes.length > 2) {
    const legend = `${colour.green('- expected')} ${colour.red('+ received')}`;
    return [
      ...about,
      legend,
      ...limit(
        changes.map((line) => shorten(line, 200)),
        24,
      ),
    ];
  }
  return [
    shorten(first, 600),
    ...limit(
      others.map((line) => shorten(line)),
      8,
    ),
  ];
}

function limit(lines: string[], most: number): string[] {
  return lines.length > most ? [...lines.slice(0, most), `… ${lines.length - most} more lines`] : lines;
}

/** Removes the path of the temporary config folder, which no longer exists when the text is read. */
function withoutFolder(text: string): string {
  return text.replaceAll(/\S*[/\\]gateway-contract-\w+[/\\]/g, '');
}
