import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { DCLinter } from 'dclint';
import { validate } from 'dockerfile-utils';
import { afterAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { readText } from '../shared/repository/phase-files.ts';
import { root } from '../shared/repository/phases.ts';
import { readAlerts, readAlertTests } from './support/alerts.ts';
import { type ComposeService, compose, composeFile, stackServices } from './support/compose-file.ts';
import { dockerfile, instructionsOf, isInContext, listFiles, readStages } from './support/dockerfile.ts';
import { dashboard, type Panel } from './support/grafana-dashboard.ts';
import { newestPhase } from './support/newest-gateway.ts';
import { arePresent } from './support/program.ts';

const stack = join(root, 'shared', 'stack');
const folder = mkdtempSync(join(tmpdir(), 'gateway-stack-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const services = Object.entries(compose.services);
// They end when they have done their work.
const oneShots = ['make-cluster'];
const gatewayConfig = JSON.parse(readText(join(stack, 'gateway.json')));
const haproxyConfig = readText(join(stack, 'haproxy.cfg'));
const prometheusConfig = parse(readText(join(stack, 'prometheus.yml')));

describe('docker-compose.yml', () => {
  // The rules with 0 are off: most of them ask for alphabetical order, and this file is in reading order.
  const rules = {
    'no-build-and-image': 2,
    'no-duplicate-container-names': 2,
    'no-duplicate-exported-ports': 2,
    'no-quotes-in-volumes': 0,
    'no-unbound-port-interfaces': 2,
    'no-version-field': 2,
    'require-project-name-field': 2,
    'require-quotes-in-ports': 2,
    'service-container-name-regex': 2,
    'service-dependencies-alphabetical-order': 0,
    'service-image-require-explicit-tag': 2,
    'service-keys-order': 0,
    'service-ports-alphabetical-order': 0,
    'services-alphabetical-order': 0,
    'top-level-properties-order': 0,
  } as const;

  function lint(file: string): string[] {
    const linter = new DCLinter({ rules, quiet: false, debug: false, exclude: [] });
    type Report = { messages: Array<{ message: string }> };
    return linter
      .lintFiles([file], false)
      .flatMap(({ messages }: Report) => messages.map(({ message }) => message));
  }

  test('is what the published schema of compose files asks for, and has no known fault', () => {
    expect(lint(composeFile)).toEqual([]);
  });

  test.each([
    ['restart: unless-stopped', 'restarts: unless-stopped', 'must NOT have additional properties'],
    ["'127.0.0.1:8080:8080'", "'8080:8080'", 'exporting port'],
    ['haproxy:3.2.25-alpine', 'haproxy:latest', 'concrete version tag'],
  ])('and faults are found: %s as %s', (from, to, message) => {
    const text = readText(composeFile);
    expect(text).toContain(from);
    const file = join(folder, 'docker-compose.yml');
    writeFileSync(file, text.replace(from, to));
    expect(lint(file).join('\n')).toContain(message);
  });

  test('publishes the balancer, Prometheus and Grafana, on 127.0.0.1 and nowhere else', () => {
    const published = stackServices.flatMap(([name, { ports = [] }]) => (ports.length > 0 ? [name] : []));
    expect(published).toEqual(['balancer', 'prometheus', 'grafana']);
    const ports = services.flatMap(([, service]) => service.ports ?? []);
    expect(ports.filter((port) => !/^127\.0\.0\.1:\d+:\d+$/.test(port))).toEqual([]);
  });

  describe.each(services)('%s', (name, service) => {
    const isOneShot = oneShots.includes(name);

    test('is pinned to a whole version, or built here', () => {
      if (service.build)
        expect(readStages(dockerfile).map(({ name }) => name)).toContain(service.build.target);
      else expect(service.image).toMatch(/^[\w./-]+:v?\d+\.\d+\.\d+(?:-[\w.]+)?$/);
    });

    test('runs without root, capabilities or a writable disk', () => {
      expect(service.user).toMatch(/^(?!root\b|0\b)\w+$/);
      expect(service).toMatchObject({
        read_only: true,
        cap_drop: ['ALL'],
        security_opt: ['no-new-privileges:true'],
      });
      expect(service.cap_add ?? service.privileged).toBeUndefined();
    });

    test('has limits, restarts, and says whether it is well', () => {
      const limits = { cpus: expect.any(String), memory: expect.any(String), pids: expect.any(Number) };
      expect(service.deploy?.resources.limits).toEqual(limits);
      expect(service.restart).toBe(isOneShot ? 'no' : 'unless-stopped');
      const inImage = instructionsOf(readStages(dockerfile), service.build?.target ?? '').some(
        ({ name }) => name === 'HEALTHCHECK',
      );
      if (isOneShot) expect(service.healthcheck).toEqual({ disable: true });
      else if (!inImage) expect(service.healthcheck?.test?.[0]).toBe('CMD');
    });

    test('mounts only files of the repository, read-only, and volumes', () => {
      for (const volume of service.volumes ?? []) {
        const [from = '', , mode] = volume.split(':');
        if (!from.startsWith('./')) continue;
        expect(existsSync(join(root, from)), volume).toBe(true);
        expect(mode, volume).toBe('ro');
      }
    });

    test('waits until what it needs is well', () => {
      for (const [name, { condition }] of Object.entries(service.depends_on ?? {})) {
        expect(Object.keys(compose.services)).toContain(name);
        expect(condition).toBe(
          oneShots.includes(name) ? 'service_completed_successfully' : 'service_healthy',
        );
      }
    });
  });

  test('has two gateways of the newest phase, alike', () => {
    const [one, two, ...more] = gateways().map(([, service]) => service);
    expect(more).toEqual([]);
    expect(one).toEqual(two);
    expect(one?.build?.args).toEqual({ PHASE: newestPhase.name });
  });

  test('puts callers, the inside and those who look on into networks of their own', () => {
    const membersOf = (network: string) =>
      stackServices.flatMap(([name, { networks = [] }]) => (networks.includes(network) ? [name] : []));
    expect(membersOf('edge')).toEqual(['balancer', 'gateway-1', 'gateway-2']);
    expect(membersOf('inner')).toEqual([
      'gateway-1',
      'gateway-2',
      'shared-redis',
      'inventory',
      'orders',
      'jaeger',
    ]);
    expect(membersOf('watch')).toEqual(['gateway-1', 'gateway-2', 'prometheus', 'jaeger', 'grafana']);
    expect(compose.networks.inner?.internal).toBe(true);
  });
});

describe('the config of the gateways', () => {
  test('is one that the newest phase takes', async () => {
    const { readConfig } = await import(pathToFileURL(join(newestPhase.folder, 'config.ts')).href);
    expect(readConfig(join(stack, 'gateway.json'))).toMatchObject(gatewayConfig);
  });

  test('trusts the network of the balancer and no other', () => {
    const subnets = compose.networks.edge?.ipam?.config.map(({ subnet }) => subnet);
    expect(gatewayConfig.trustedProxies).toEqual(subnets);
  });

  test('leads to services of the stack', () => {
    for (const [name, { url }] of Object.entries<{ url: string }>(gatewayConfig.services)) {
      const { hostname, port } = new URL(url);
      const service = compose.services[hostname];
      expect(hostname).toBe(name);
      expect(service?.networks).toEqual(['inner']);
      expect(service?.command).toEqual(expect.arrayContaining(['--only', name, '--host', '0.0.0.0']));
      expect(Number(port)).toBe(name === 'inventory' ? 4001 : 4002);
    }
  });

  test('is where the environment says, with a Redis that both share and an admin listener for others', () => {
    for (const [, { environment = {}, volumes = [] }] of gateways()) {
      expect(volumes).toEqual([`./shared/stack/gateway.json:${environment.GATEWAY_CONFIG}:ro`]);
      const { hostname, port } = new URL(environment.REDIS_URL ?? '');
      expect(compose.services[hostname]?.image).toMatch(/^redis:/);
      expect(compose.services[hostname]?.networks).toEqual(['inner']);
      expect(port).toBe('6379');
      expect(environment).toMatchObject({ HOST: '0.0.0.0', ADMIN_HOST: '0.0.0.0' });
    }
  });
});

describe('the balancer', () => {
  test('leads to the gateways and asks their admin listeners whether they are ready', () => {
    const servers = [...haproxyConfig.matchAll(/^ +server (\S+) (\S+)$/gm)].map(([, name, at]) => [name, at]);
    expect(servers).toEqual(
      gateways().map(([name, { environment }]) => [name, `${name}:${environment?.PORT}`]),
    );
    const [, { environment } = {} as ComposeService] = gateways()[0] ?? [];
    expect(haproxyConfig).toMatch(
      new RegExp(`^ +default-server check .*\\bport ${environment?.ADMIN_PORT}\\b`, 'm'),
    );
    expect(haproxyConfig).toContain('http-check send meth GET uri /ready');
  });

  test('notices a gateway that stops within DRAIN_DELAY_MS, and Docker waits until it has stopped', () => {
    const [, seconds, failures] =
      /^ +default-server check inter (\d+)s fall (\d+) /m.exec(haproxyConfig) ?? [];
    for (const [, { environment, stop_grace_period }] of gateways()) {
      const delayMs = Number(environment?.DRAIN_DELAY_MS);
      expect(delayMs).toBeGreaterThanOrEqual(2 * Number(seconds) * Number(failures) * 1_000);
      // 10 s for the requests in flight, 3 s for the last log lines: docs/contract.md.
      expect(Number.parseInt(stop_grace_period ?? '', 10) * 1_000).toBeGreaterThan(delayMs + 13_000);
    }
  });

  test('listens where compose publishes it, and answers its health check', () => {
    const { ports = [], healthcheck, volumes } = compose.services.balancer ?? {};
    expect(haproxyConfig).toContain(`bind :${ports[0]?.split(':').at(-1)}\n`);
    const { host, pathname } = new URL(healthcheck?.test?.at(-1) ?? '');
    expect(haproxyConfig).toContain(`bind ${host}\n`);
    expect(haproxyConfig).toContain(`monitor-uri ${pathname}\n`);
    expect(volumes).toEqual(['./shared/stack/haproxy.cfg:/usr/local/etc/haproxy/haproxy.cfg:ro']);
  });

  test.skipIf(!arePresent('haproxy'))('has a config that HAProxy takes without a warning', () => {
    const file = join(folder, 'haproxy.cfg');
    // The names of the gateways can be resolved only inside the network of the stack.
    writeFileSync(file, haproxyConfig.replaceAll(/ gateway-\d:/g, ' 127.0.0.1:'));
    const checked = spawnSync('haproxy', ['-c', '-f', file], { encoding: 'utf8' });
    expect(checked.stdout + checked.stderr).not.toMatch(/warning|alert/i);
    expect(checked.status).toBe(0);
  });
});

describe('Prometheus', () => {
  test('asks the admin listeners of both gateways', () => {
    const { static_configs } = prometheusConfig.scrape_configs.find(
      ({ job_name }: { job_name: string }) => job_name === 'gateway',
    );
    expect(static_configs[0].targets).toEqual(
      gateways().map(([name, { environment }]) => `${name}:${environment?.ADMIN_PORT}`),
    );
  });

  test('finds its files where they are mounted', () => {
    const { command = [], volumes = [] } = compose.services.prometheus ?? {};
    expect(command).toContain('--config.file=/etc/prometheus/prometheus.yml');
    const mounted = ['prometheus.yml', ...prometheusConfig.rule_files];
    for (const name of mounted)
      expect(volumes).toContain(`./shared/stack/${name}:/etc/prometheus/${name}:ro`);
  });

  test.skipIf(!arePresent('promtool'))(
    'has a config and alerts that promtool takes, and their tests pass',
    () => {
      for (const words of [
        ['check', 'config', 'prometheus.yml'],
        ['check', 'rules', 'alerts.yml'],
        ['test', 'rules', 'alerts.test.yml'],
      ]) {
        const checked = spawnSync('promtool', words, { cwd: stack, encoding: 'utf8' });
        expect(checked.status, `${words.join(' ')}\n${checked.stdout}${checked.stderr}`).toBe(0);
      }
    },
  );

  test.each(readAlerts().map((alert) => [alert.alert, alert] as const))(
    '%s says what is the matter, what it means and what to do, and was seen firing and not firing',
    (name, { annotations, labels }) => {
      expect(Object.keys(annotations)).toEqual(['summary', 'description', 'action']);
      for (const text of Object.values(annotations)) expect(text).toMatch(/\.$/);
      expect(['critical', 'warning']).toContain(labels.severity);
      const seen = readAlertTests().filter(({ alertname }) => alertname === name);
      expect(seen.filter(({ exp_alerts }) => exp_alerts.length > 0)).not.toEqual([]);
      expect(seen.filter(({ exp_alerts }) => exp_alerts.length === 0)).not.toEqual([]);
    },
  );
});

describe('Grafana', () => {
  const provisioning = join(stack, 'grafana', 'provisioning');
  const source = parse(readText(join(provisioning, 'datasources', 'prometheus.yml'))).datasources[0];
  const provider = parse(readText(join(provisioning, 'dashboards', 'gateway.yml'))).providers[0];
  const { volumes = [], environment = {} } = compose.services.grafana ?? {};
  const panels = dashboard.panels.filter(({ type }) => type !== 'row');

  test('asks the Prometheus of the stack, and finds the dashboard where it is mounted', () => {
    const { hostname, port } = new URL(source.url);
    expect(compose.services[hostname]?.networks).toEqual(compose.services.grafana?.networks);
    expect(compose.services[hostname]?.ports?.[0]).toMatch(new RegExp(`:${port}$`));
    expect(volumes).toEqual([
      './shared/stack/grafana/provisioning:/etc/grafana/provisioning:ro',
      `./shared/stack/grafana/dashboards:${provider.options.path}:ro`,
    ]);
    expect(environment.GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH).toBe(
      `${provider.options.path}/gateway.json`,
    );
  });

  test('reaches every data source, and links to no other', () => {
    const folder = join(provisioning, 'datasources');
    const sources = readdirSync(folder).flatMap((file) => parse(readText(join(folder, file))).datasources);
    for (const { url } of sources) {
      const networks = compose.services[new URL(url).hostname]?.networks ?? [];
      expect(networks.filter((name) => compose.services.grafana?.networks?.includes(name))).not.toEqual([]);
    }
    const linked = [...JSON.stringify(dashboard).matchAll(/%22datasource%22:%22(\w+)%22/g)].map(
      ([, uid]) => uid,
    );
    expect(linked).toEqual(['jaeger']);
    expect(sources.map(({ uid }) => uid)).toEqual(expect.arrayContaining(linked));
  });

  test('has a dashboard that asks the provisioned data source and no other', () => {
    const asked = [
      ...panels.map(({ datasource }) => datasource?.uid),
      ...panels.flatMap(({ targets = [] }) => targets.map(({ datasource }) => datasource.uid)),
      ...dashboard.annotations.list.map(({ datasource }) => datasource.uid),
      ...dashboard.templating.list.map(({ datasource }) => datasource.uid),
    ];
    expect(new Set(asked)).toEqual(new Set([source.uid]));
  });

  test('has panels that say what they show, in which unit, and that do not lie on each other', () => {
    expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length);
    for (const { title, description, targets, type, fieldConfig } of panels) {
      expect(description, title).toMatch(/\.$/);
      expect(targets?.length, title).toBeGreaterThan(0);
      if (type !== 'state-timeline') expect(fieldConfig?.defaults.unit, title).toMatch(/^\w+$/);
    }
    const overlaps = dashboard.panels.flatMap((a, i) =>
      dashboard.panels.slice(i + 1).flatMap((b) => (overlap(a, b) ? [`${a.title} and ${b.title}`] : [])),
    );
    expect(overlaps).toEqual([]);
  });

  test('has a row for each thing to look after', () => {
    const rows = dashboard.panels.filter(({ type }) => type === 'row').map(({ title }) => title);
    expect(rows.join(', ')).toMatch(/Routes.*Services.*Clients.*Refusals.*limiter.*Redis.*Circuits.*Node/i);
  });
});

describe('Dockerfile', () => {
  const stages = readStages(dockerfile);
  const names = stages.map(({ name }) => name);
  const ends = ['services', 'gateway'] as const;
  const find = (stage: string, name: string) =>
    instructionsOf(stages, stage).filter((instruction) => instruction.name === name);

  test('has no fault that dockerfile-utils knows', () => {
    expect(validate(dockerfile).map(({ message }) => message)).toEqual([]);
    expect(validate(dockerfile.replace('WORKDIR', 'WORKDIRECTORY'))).not.toEqual([]);
  });

  test('ends with the gateway, and begins with the Node of .nvmrc', () => {
    expect(names.at(-1)).toBe('gateway');
    const bases = stages.map(({ from }) => from).filter((from) => !names.includes(from));
    const node = readText(join(root, '.nvmrc')).trim();
    expect(new Set(bases)).toEqual(new Set([`node:${node}-bookworm-slim`]));
  });

  test('installs production dependencies from the lockfile, without scripts', () => {
    const runs = find('dependencies', 'RUN').map(({ rest }) => rest);
    expect(runs).toEqual([expect.stringMatching(/^npm ci --omit=dev --ignore-scripts\b/)]);
    for (const end of ends) {
      expect(find(end, 'RUN').filter(({ rest }) => /\b(?:npm|apt|curl|wget)\b/.test(rest))).toEqual([]);
      expect(find(end, 'COPY')).toContainEqual({
        name: 'COPY',
        flags: ['--from=dependencies'],
        rest: '/app/node_modules ./node_modules',
      });
    }
  });

  test.each(ends)('%s does not run as root, is asked whether it is well, and gets signals itself', (end) => {
    expect(find(end, 'USER').at(-1)?.rest).toBe('node');
    const [check] = find(end, 'HEALTHCHECK');
    for (const rest of [find(end, 'CMD').at(-1)?.rest, check?.rest.replace(/^.*?CMD /, '')]) {
      expect(JSON.parse(rest ?? '')[0]).toBe('node');
    }
    expect(find(end, 'ADD')).toEqual([]);
  });

  test('runs the newest phase unless told otherwise, under a name that does not change', () => {
    expect(find('gateway', 'ARG').map(({ rest }) => rest)).toEqual([`PHASE=${newestPhase.name}`]);
    expect(find('gateway', 'CMD').at(-1)?.rest).toBe('["node", "--import", "tsx", "phase/server.ts"]');
  });

  test('.dockerignore lets in what is copied, and nothing else', () => {
    const ignore = readText(join(root, '.dockerignore'));
    const copied = stages
      .flatMap(({ instructions }) => instructions)
      .filter(({ name, flags }) => name === 'COPY' && flags.length === 0)
      .flatMap(({ rest }) => rest.split(/\s+/).slice(0, -1))
      .map((path) => path.replace(/\$\{PHASE\}\/?/, '').replace(/\/$/, ''));
    const files = listFiles('');
    const isCopied = (path: string) => copied.some((from) => path === from || path.startsWith(`${from}/`));
    for (const from of copied)
      expect(
        files.some((path) => path === from || path.startsWith(`${from}/`)),
        from,
      ).toBe(true);
    const entering = files.filter((path) => isInContext(path, ignore));
    expect(entering.filter((path) => !isCopied(path))).toEqual([]);
    const missing = files.filter((path) => isCopied(path) && !isInContext(path, ignore));
    expect(missing.filter((path) => !path.endsWith('.md'))).toEqual([]);
  });
});

function gateways(): Array<[string, ComposeService]> {
  return services.filter(([name]) => /^gateway-\d$/.test(name));
}

function overlap({ gridPos: a }: Panel, { gridPos: b }: Panel): boolean {
  return a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;
}
