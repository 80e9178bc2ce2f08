import { Histogram, Registry } from 'prom-client';
import { parseSamples } from '../metrics/prometheus-text.ts';
import { startCarelessGateway } from './runner/careless-gateway.ts';
import type { Client } from './runner/client.ts';
import type { Drill } from './runner/definition.ts';
import type { Scene } from './runner/scene.ts';
import { always } from './runner/service.ts';

const paths = 1_000;
const atOnce = 50;
const scrapesPerDay = (24 * 60 * 60) / 15;
// The default bounds of prom-client, and +Inf; then _sum and _count.
const seriesPerPath = 11 + 1 + 2;

export const labelPerPath: Drill = {
  name: 'label-per-path',
  phase: 5,
  about: 'A metric has a label for the path. What does a scanner do to it?',
  setUp: [
    'A careless gateway measures the duration of each request in a histogram of prom-client, with the label "path".',
    'Phase 5 measures the same, with the label "route": the prefix in its config, or "none".',
    `A scanner requests ${paths} different paths from each of them, once, and none of these paths exists.`,
  ],
  question: 'How many series does the histogram of the careless gateway have afterwards?',
  choices: {
    a: '1: it is one metric',
    b: `${paths}: one per path`,
    c: `${paths * seriesPerPath}: one per path and bucket, and two more per path`,
    d: '0: a gateway does not count requests that get 404',
  },
  expected: 'c',

  async run(scene: Scene) {
    const registry = new Registry();
    const name = 'request_duration_seconds';
    const durations = new Histogram({ name, help: 'Per path.', labelNames: ['path'], registers: [registry] });
    const service = await scene.service(always(404));
    const careless = await startCarelessGateway(scene, service, (request) => {
      const observe = durations.startTimer({ path: request.url ?? '' });
      request.once('close', () => observe());
      return true;
    });
    const phase5 = await scene.gateway({ phase: 5, name: 'phase 5', service });

    const scan = async (gateway: Client, name: string) => {
      scene.say('scanner', `begins with ${name}`);
      const numbers = Array.from({ length: paths }, (_, index) => index + 1);
      for (let sent = 0; sent < paths; sent += atOnce) {
        const some = numbers.slice(sent, sent + atOnce);
        await Promise.all(some.map((number) => gateway.get(`/wp-admin/${number}.php`)));
      }
      scene.say('scanner', `has requested ${paths} paths from ${name}`);
    };
    await scan(careless, 'the careless gateway');
    await scan(phase5, 'phase 5');
    await phase5.logged('request', paths);
    const withPath = tell(scene, 'careless', await registry.metrics(), name);
    const { body } = await phase5.admin.get('/metrics');
    const withRoute = tell(scene, 'phase 5', body, 'gateway_http_request_duration_seconds');

    const answers = new Map([
      [1, 'a'],
      [paths, 'b'],
      [paths * seriesPerPath, 'c'],
      [0, 'd'],
    ]);
    const perDay = Math.round((withPath.series * scrapesPerDay) / 1_000_000);
    return {
      answer: answers.get(withPath.series),
      measured: [
        `The histogram of the careless gateway has ${withPath.series} series, ${withPath.kB} kB in each scrape.`,
        `That of phase 5 has ${withRoute.series} series, ${withRoute.kB} kB in each scrape.`,
        `With a scrape every 15 s, Prometheus stores ${perDay} million values of the careless one per day.`,
      ],
    };
  },

  explain:
    'Each combination of label values is a series, and a histogram has a series per bucket as well. The gateway keeps each ' +
    'of them in memory until it ends, sends all of them with each scrape, and Prometheus keeps them in memory too. A ' +
    'client that invents paths thereby fills the memory of both, without a key, and with requests that get 404. So a label ' +
    'may have only values that its operator has chosen: the prefix of a route, the id of a client, a status, a word of a ' +
    'fixed list. Phase 5 counts all requests without a route as "none", and every unknown method as OTHER, because clients ' +
    'can invent methods too. The path of a request is in the log, where a line more costs only a line.',
  code: [
    {
      file: 'metrics.ts',
      marker: "const prefix = route?.prefix ?? 'none'",
      why: 'the label is a prefix of the config',
    },
    { file: 'metrics.ts', marker: "(method as string) : 'OTHER'", why: 'unknown methods share a label' },
    { file: 'access-log.ts', marker: 'path: url && pathOf(url)', why: 'the path is in the log' },
  ],
  next: [
    'npm run drill -- missing-id   how to find one request in the log',
    'docs/metrics.md               every metric and its labels',
  ],
};

/** The series of a histogram in a scrape, and the size of their lines. */
function tell(scene: Scene, who: string, scrape: string, name: string) {
  const lines = scrape.split('\n').filter((line) => line.startsWith(`${name}_`));
  const series = parseSamples(lines.join('\n')).length;
  const kB = Math.ceil(lines.join('\n').length / 1000);
  scene.say(who, `its /metrics has ${series} series of ${name}`);
  return { series, kB };
}
