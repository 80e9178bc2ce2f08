import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net, { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { send, until } from '../shared/contract/harness/client.ts';
import { spellOut, toCurl } from '../shared/kit/verify/curl.ts';
import { tellOverload } from '../shared/kit/verify/overload.ts';
import { NotJudged, tryOut } from '../shared/kit/verify/preflight.ts';
import { formatFailures, tellFailure } from '../shared/kit/verify/verdict-text.ts';
import { readTest, type TestResult } from '../shared/process/test-results.ts';
import { listPhases, type Phase, root } from '../shared/repository/phases.ts';

// Checks the verdicts of `npm run verify` about gateways that are known to be right, wrong, dead or silent.

const phases = listPhases();
const plain = join(root, 'shared', 'examples', 'plain-node-gateway');
const onWindows = process.platform === 'win32';
const patience = 60_000;

const folder = mkdtempSync(join(tmpdir(), 'gateway-verify-test-'));
const children = new Set<ChildProcess>();
afterAll(() => {
  for (const child of children) child.kill('SIGTERM');
  rmSync(folder, { recursive: true, force: true });
});

interface Run {
  child: ChildProcess;
  /** stdout and stderr so far. */
  output(): string;
  /** The exit code. */
  ended: Promise<number | null>;
}

function run(command: 'verify' | 'hint', words: string[]): Run {
  // Variables that vitest sets for this test must not reach the suites of the command.
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(?:FORCE_COLOR|VITEST|NODE_ENV|GATEWAY)/.test(name),
  );
  const child = spawn(process.execPath, ['--import', 'tsx', `shared/cli/${command}.ts`, ...words], {
    cwd: root,
    env: Object.fromEntries(inherited),
    stdio: 'pipe',
  });
  children.add(child);
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
  }
  const ended = once(child, 'close').then(([code]) => {
    children.delete(child);
    return code as number | null;
  });
  return { child, output: () => text, ended };
}

/** Number of commands at a time. Each of them starts gateways and waits for them. */
const atOnce = 3;
let free = atOnce;
const waiting: Array<() => void> = [];

async function limited<T>(act: () => Promise<T>): Promise<T> {
  if (free === 0) await new Promise<void>((resolve) => waiting.push(resolve));
  else free -= 1;
  try {
    return await act();
  } finally {
    const next = waiting.shift();
    if (next) next();
    else free += 1;
  }
}

function verify(...words: string[]): Promise<{ code: number | null; text: string }> {
  return limited(async () => {
    const { output, ended } = run('verify', words);
    return { code: await ended, text: output() };
  });
}

const commandOf = ({ name }: Phase) => `node --import tsx phases/${name}/server.ts`;
const plainCommand = 'node shared/examples/plain-node-gateway/server.mjs';

/** Copies the plain gateway, replaces a text in one of its files, and returns the command that starts the copy. */
function spoil(name: string, file: string, right: string, wrong: string): string {
  const copy = join(folder, name);
  cpSync(plain, copy, { recursive: true });
  const text = readFileSync(join(copy, file), 'utf8');
  expect(text).toContain(right);
  writeFileSync(join(copy, file), text.replace(right, wrong));
  return `node ${join(copy, 'server.mjs').replaceAll('\\', '/')}`;
}

/** Writes a short program that leaves its process id in the folder, and returns the command that starts it. */
function write(name: string, code: string): string {
  const file = join(folder, `${name}.mjs`);
  const note = `import { writeFileSync } from 'node:fs'; writeFileSync(${JSON.stringify(folder)} + '/${name}-' + process.pid + '.pid', '');\n`;
  writeFileSync(file, note + code);
  return `node ${file.replaceAll('\\', '/')}`;
}

/** The process ids of a program that still runs. */
function alive(name: string): number[] {
  const pids = readdirSync(folder).flatMap((file) =>
    file.startsWith(`${name}-`) ? [Number.parseInt(file.slice(name.length + 1), 10)] : [],
  );
  return pids.filter((pid) => {
    try {
      process.kill(pid, 0);
      // In a container, an orphan that has ended may stay as a zombie, because no process collects it.
      return process.platform !== 'linux' || !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
    } catch {
      return false;
    }
  });
}

const answering = (body: string) =>
  `import http from 'node:http';
   http.createServer((request, response) => { ${body} }).listen(Number(process.env.PORT), '127.0.0.1');`;

describe('a gateway that is right', () => {
  test('in another shape than the reference keeps suites 1 and 2', async () => {
    const { code, text } = await verify('2', '--cmd', plainCommand);
    expect(text).toMatch(
      /suite 1 {2}kept {2}\d{3} passed, 0 failed(?:, \d+ skipped)?\n {2}suite 2 {2}kept {2}\d{3} passed, 0 failed\n/,
    );
    expect(text).toMatch(/It keeps the contract of phase 1 and 2, \d{3} sentences, in \d+ s\.\nNext: /);
    expect(code).toBe(0);
  });

  test('may be the frozen phase itself, with --phase', async () => {
    const { code, text } = await verify('2', '--phase', '--step', '1', '--sentence', 'empty key');
    expect(text).toMatch(
      /^Phase 2, client identity: node --import tsx phases\/2-client-identity\/server\.ts\n/,
    );
    expect(text).toMatch(
      /\d sentences judged, all kept, in \d+ s\.\nNext: npm run verify -- 2 --phase, for the next step\n/,
    );
    expect(code).toBe(0);
  });

  // A part of its own suite is enough, because the ladder runs all suites against all phases.
  const parts = [
    'a prefix',
    'who is asking',
    'an address',
    'the limit',
    'the request id',
    'the config',
    'over a socket',
  ];
  test.concurrent.each(phases)('keeps its own suite: $name', async (phase) => {
    const number = String(phase.number);
    const part = parts[phase.number - 1] ?? 'the config';
    const { code, text } = await verify(
      number,
      '--cmd',
      commandOf(phase),
      '--only',
      number,
      '--sentence',
      part,
    );
    expect(text).toMatch(new RegExp(`suite ${number}  kept  [1-9]\\d* passed, 0 failed\n`));
    expect(text).toMatch(/\d+ sentences judged, all kept/);
    expect(code).toBe(0);
  });
});

describe.concurrent('a gateway that is not complete', () => {
  const shortestWins = (name: string) =>
    spoil(
      name,
      'route.mjs',
      'b.segments.length - a.segments.length',
      'a.segments.length - b.segments.length',
    );

  test('is judged step by step, up to the first step that is open', async () => {
    const { code, text } = await verify('2', '--cmd', shortestWins('steps'));
    expect(code).toBe(1);
    expect(text).toMatch(
      /\n {2}suite 2, step 1: who is asking +\d+ passed, 0 failed\n {2}suite 2, step 2: who may call +\d+ passed, [1-9]\d* failed\n\n/,
    );
    expect(text).not.toContain('step 3');
    expect(text).toMatch(/Not yet: suite 2, step 2: who may call is open, in \d+ s\.\nNext: fix the first/);
    expect(text).toMatch(/\nOnly this step: npm run verify -- 2 --cmd ".*" --step 2\n/);
  });

  test('leaves no process behind when an open step cuts the others off', async () => {
    const server = shortestWins('cut-off').slice('node '.length);
    const [, heir] = write('heir', 'setInterval(() => {}, 1000);').split(' ');
    const command = write(
      'cut',
      `import { spawn } from 'node:child_process';
       for (const detached of [false, ${process.platform === 'linux'}]) spawn('node', [${JSON.stringify(heir)}], { detached, stdio: 'ignore' }).unref();
       await import(${JSON.stringify(pathToFileURL(server).href)});`,
    );
    const { text } = await verify('2', '--cmd', command);
    expect(text).toContain('step 2: who may call is open');
    await until(() => alive('cut').length === 0, 'every gateway has ended', 10_000);
    // On Windows only the first start ends the children of the command.
    if (!onWindows) await until(() => alive('heir').length === 0, 'their children have ended', 10_000);
  });

  test('has a step that is judged alone with --step', async () => {
    const { code, text } = await verify('2', '--cmd', shortestWins('one-step'), '--step', '4');
    expect(text).toMatch(/\n {2}suite 2, step 4: a config that is wrong +\d+ passed, 0 failed\n\n/);
    expect(text).toMatch(
      /\d+ sentences judged, all kept, in \d+ s\.\nNext: npm run verify -- 2 --cmd ".+", for the next step\n/,
    );
    expect(code).toBe(0);
  });
});

describe.concurrent('a gateway of the phase before', () => {
  // A phase that adds no section to the config accepts the config of the next one.
  const configOf = ({ folder }: Phase) =>
    Object.keys(JSON.parse(readFileSync(join(folder, 'gateway.json'), 'utf8')));
  const steps = phases
    .slice(1)
    .map((phase, i) => ({ name: phase.name, phase, before: phases[i] as Phase }))
    .filter(({ phase, before }) => configOf(phase).length > configOf(before).length);

  test.each(steps)(
    'keeps next to nothing of the first step of the new suite: $name',
    async ({ phase, before }) => {
      const number = String(phase.number);
      const { code, text } = await verify(number, '--cmd', commandOf(before));
      expect(text).toContain(`With the config of phase ${number} it ended with exit code 1.`);
      // A sentence about a refused start may pass for another reason.
      expect(text).toMatch(
        new RegExp(`suite ${number}, step 1: .* [01] passed, \\d+ failed, \\d+ not reached\n`),
      );
      expect(text).toMatch(new RegExp(`Not yet: suite ${number}, step 1: .* is open`));
      expect(code).toBe(1);
    },
  );

  test('keeps those of the older ones', async () => {
    const [, second, third] = phases;
    const { code, text } = await verify(
      String(third?.number),
      '--cmd',
      commandOf(second as Phase),
      '--sentence',
      'the config',
    );
    expect(text).toMatch(/suite 2 {2}kept {2}\d passed, 0 failed\n {2}suite 3 {2}open {2}0 passed, [1-9]/);
    expect(code).toBe(1);
  });
});

describe.concurrent('a failure', () => {
  const emptyKey = (name: string) =>
    spoil(
      name,
      'identify.mjs',
      'if (keys === undefined) return ANONYMOUS;',
      'if (!keys?.[0]) return ANONYMOUS;',
    );

  test('shows what was sent, what came back, what was expected and why, a hint and a chapter', async () => {
    const command = emptyKey('shown');
    const { code, text } = await verify(
      '2',
      '--cmd',
      command,
      '--sentence',
      'treats an empty key as unknown, not absent, on /api/orders/1',
    );
    expect(code).toBe(1);
    expect(text).toMatch(
      /suite 2, who is asking > treats an empty key as unknown, not absent, on \/api\/orders\/1\n +shared\/contract\/2-client-identity\/1-who-is-asking\.test\.ts:\d+\n/,
    );
    expect(text).toMatch(/sent +curl -i -H "X-API-Key;" http:\/\/127\.0\.0\.1:\d+\/api\/orders\/1\n/);
    expect(text).toMatch(
      /received +HTTP\/1\.1 401 Unauthorized\n(?: +.*\n)* +content-type: application\/problem\+json\n/,
    );
    expect(text).toMatch(
      /expected .*\n(?:.*\n)* + - {3}"body": StringContaining "urn:gateway:problem:unknown-key"/,
    );
    expect(text).toContain(
      'why        A key that is unknown, empty or repeated: 401 `unknown-key`, on every route, public ones too.',
    );
    expect(text).toContain('hint       No key and an empty key are two different cases.');
    expect(text).toContain('read       phases/2-client-identity/README.md#traps-it-avoids');
    expect(text).toContain(`For a hint: npm run hint -- 2 --cmd "${command}"`);

    const hint = run('hint', ['2', '--cmd', command]);
    expect(await hint.ended).toBe(0);
    expect(hint.output()).toContain('treats an empty key as unknown, not absent, on /api/orders/1');
    expect(hint.output()).toMatch(/Hint 1\n {2}No key and an empty key are two different cases/);
    expect(hint.output()).not.toContain('Hint 2');
    expect(hint.output()).toContain(`npm run hint -- 2 --cmd "${command}" --level 2`);
    const all = run('hint', ['2', '--cmd', command, '--level', '3']);
    await all.ended;
    expect(all.output()).toMatch(/Hint 2\n {2}Check whether the field is undefined/);
    expect(all.output()).toMatch(
      /phases\/2-client-identity\/identify\.ts:\d+\n +\d+ +const key = request\.headers/,
    );
    const second = run('hint', ['2', '--cmd', command, '--failure', '2']);
    expect(await second.ended).toBe(1);
    expect(second.output()).toContain('--failure takes a whole number from 1 to 1');
  });

  test('other than the first is helped with by --failure', async () => {
    const command = emptyKey('second');
    await verify('2', '--cmd', command, '--sentence', 'treats an empty key as unknown, not absent');
    const hint = run('hint', ['2', '--cmd', command, '--failure', '2']);
    expect(await hint.ended).toBe(0);
    expect(hint.output()).toMatch(/^Number 2 of 2 sentences that failed for phase 2/m);
    expect(hint.output()).toContain('treats an empty key as unknown, not absent, on /api/orders/1');
    expect(hint.output()).toContain(`npm run hint -- 2 --cmd "${command}" --failure 2 --level 2`);
  });

  test('shows raw bytes where curl cannot send the same', async () => {
    const command = spoil('two-hosts', 'well-formed.mjs', 'host.length === 1', 'host.length > 0');
    const { text } = await verify('2', '--cmd', command, '--sentence', 'the same Host twice');
    expect(text).toMatch(/sent +GET \/api\/x HTTP\/1\.1\\r\\n\n +Host: a\\r\\n\n +host: a\\r\\n\n +\\r\\n\n/);
    expect(text).toMatch(/received +HTTP\/1\.1 200 OK\n/);
    expect(text).toMatch(/\n {3}services +service was called once, and should not have been\n/);
  });

  test('of a start shows the command with its config, and what the gateway said', async () => {
    const command = spoil('no-clients', 'config.mjs', 'DIGEST.test(digest)', 'digest.length > 0');
    const { text } = await verify(
      '2',
      '--cmd',
      command,
      '--sentence',
      'every bad field named, and without a key',
    );
    const [, file = ''] = /started +.*GATEWAY_CONFIG=(\S+) node /.exec(text) ?? [];
    expect(JSON.parse(readFileSync(join(root, file), 'utf8'))).toHaveProperty('clients');
    expect(text).toMatch(/result +it ended with exit code 1\n +The config .* is not usable:\n/);
  });

  test('of a gateway that dies begins with its death and its last words, and only counts what follows', async () => {
    const command = spoil(
      'dies',
      'forward.mjs',
      'answer = incoming;',
      'answer = incoming; if (answer.statusCode === 206) throw new Error("last words");',
    );
    const { code, text } = await verify('2', '--cmd', command, '--sentence', 'an answer > of status');
    expect(code).toBe(1);
    expect(text).toMatch(
      / 1 the gateway died: it ended with exit code 1\n +during +suite 1, .*206.*\n +sent +curl .*\n +output .*forward\.mjs/,
    );
    expect(text.match(/^ +Error: last words$/gm)).toHaveLength(1);
    expect(text).toMatch(/\n1[0-9] more fail only because the gateway had ended\. They are not shown\.\n/);
    expect(text).not.toContain('outside any sentence');
  });

  test('of a gateway that exits with 0 is its death, even if the next one lives: the first of its words are kept', async () => {
    const starts = JSON.stringify(join(folder, 'starts-of-leaves'));
    const command = spoil(
      'leaves',
      'forward.mjs',
      'answer = incoming;',
      `answer = incoming;
       if (answer.statusCode === 206 && isSecond) { console.error('last words\\n' + '    at deep (file.mjs:1:1)\\n'.repeat(500)); process.exit(0); }`,
    );
    const file = join(folder, 'leaves', 'forward.mjs');
    const note = `import { appendFileSync, readFileSync } from 'node:fs';\nappendFileSync(${starts}, '.');\nconst isSecond = readFileSync(${starts}).length === 2;\n`;
    writeFileSync(file, note + readFileSync(file, 'utf8'));
    const { code, text } = await verify('2', '--cmd', command, '--sentence', 'of status 206 passes');
    expect(text).toMatch(
      / 1 the gateway died: it ended with exit code 0\n +during .*\n +sent .*\n +output +last words\n/,
    );
    expect(text.split('\n').length).toBeLessThan(40);
    expect(code).toBe(1);
  });

  test.skipIf(onWindows)('can be held: the curl line works until Enter', () =>
    limited(async () => {
      const words = ['2', '--cmd', emptyKey('held'), '--hold', '--sentence', 'treats an empty key'];
      const { child, output, ended } = run('verify', words);
      await until(() => output().includes('Press Enter to end.'), 'the sentence is held', patience);
      const curl = /sent +curl -i -H "X-API-Key;" http:\/\/127\.0\.0\.1:(\d+)\/api\/inventory\/1\n/.exec(
        output(),
      );
      const address = { host: '127.0.0.1', port: Number(curl?.[1]) };
      const [, port, config = '', service = ''] =
        /gateway +http:\/\/127\.0\.0\.1:(\d+)\n +config +(\S+\.json)\n +services +\/api\/inventory leads to inventory, (http:\S+)\nPress Enter/.exec(
          output(),
        ) ?? [];
      expect(Number(port)).toBe(address.port);
      expect(JSON.parse(readFileSync(join(root, config), 'utf8')).services.inventory.url).toBe(service);
      expect((await fetch(service)).status).toBe(200);
      const answer = await send(address, '/api/inventory/1', { headers: { 'X-API-Key': '' } });
      expect(answer.json()).toMatchObject({ method: 'GET', target: '/1' });
      child.stdin?.write('\n');
      expect(await ended).toBe(1);
      await expect(send(address, '/health')).rejects.toThrow('ECONNREFUSED');
    }),
  );

  test('that does not happen again alone is named and does not count', async () => {
    // verify starts the gateway once to try it. The next process is the one that fails, and only that one.
    const starts = JSON.stringify(join(folder, 'starts-of-once'));
    const command = spoil(
      'once',
      'identify.mjs',
      'if (keys === undefined) return ANONYMOUS;',
      'if (keys === undefined || (isSecond && !keys[0])) return ANONYMOUS;',
    );
    const file = join(folder, 'once', 'identify.mjs');
    const note = `import { appendFileSync, readFileSync } from 'node:fs';\nappendFileSync(${starts}, '.');\nconst isSecond = readFileSync(${starts}).length === 2;\n`;
    writeFileSync(file, note + readFileSync(file, 'utf8'));
    const name = 'treats an empty key as unknown, not absent, on /api/orders/1';
    const { code, text } = await verify('2', '--cmd', command, '--sentence', name);
    expect(text).toContain(
      '1 sentence failed, and passed when judged again alone. It does not count as open:\n',
    );
    expect(text).toContain('1 sentence judged, kept, in');
    expect(code).toBe(0);
  });

  test('--bail ends at the first one', async () => {
    const { code, text } = await verify('2', '--cmd', emptyKey('bailed'), '--only', '2', '--bail');
    expect(code).toBe(1);
    expect(text).toMatch(/suite 2 {2}open {2}\d+ passed, 1 failed, [1-9]\d* not reached\n/);
  });

  test('--watch judges again when a file has changed: first what failed, then everything', () =>
    limited(async () => {
      const words = ['2', '--cmd', emptyKey('watched'), '--only', '2', '--sentence', 'empty', '--watch'];
      const { child, output, ended } = run('verify', words);
      await until(() => output().includes('Watching '), 'the first verdict', patience);
      expect(output()).toMatch(/open {2}\d passed, [1-9] failed/);
      cpSync(join(plain, 'identify.mjs'), join(folder, 'watched', 'identify.mjs'));
      await until(() => output().split('Watching ').length === 3, 'the second verdict', patience);
      const [part, whole] = [...output().matchAll(/kept {2}(\d+) passed, 0 failed\n/g)].map(([, count]) =>
        Number(count),
      );
      expect(part).toBeLessThan(whole ?? 0);
      child.kill('SIGTERM');
      await ended;
    }));
});

describe.concurrent('what cannot be judged', () => {
  const cases: Array<[what: string, command: () => string, words: string[], said: RegExp]> = [
    [
      'a command that dies',
      () => write('dead', 'console.error("no such luck"); process.exit(3);'),
      [],
      /The gateway does not start.*\n.* it ended with exit code 3\. It printed:\n {2}no such luck\nNext: /,
    ],
    [
      'a command with a syntax error, whose place is told',
      () => {
        const file = join(folder, 'torn.ts');
        writeFileSync(file, 'const x = (;\n');
        return `node --import tsx ${file}`;
      },
      [],
      /It printed:\n(?: {2}.*\n)*? {2}\S+torn\.ts:1:\d+: ERROR: Unexpected ";"\n(?: {2}.*\n)*Next: /,
    ],
    [
      'a command that does not exist',
      () => 'no-such-command --at-all',
      [],
      /There is no command "no-such-command"\.\nNext: /,
    ],
    [
      'a command that never listens',
      () => write('deaf', 'console.error("thinking"); setInterval(() => {}, 1000);'),
      ['--limit', '2'],
      /GET \/health on 127\.0\.0\.1:\d+ is not answered with 200 within 2 s.*\nIt printed:\n {2}thinking\nNext: /,
    ],
    [
      'a gateway that answers everything with 200',
      () => write('yes', answering('response.end("{}");')),
      [],
      /answers 200 to every request.*\n {2}GET \/no\/route\/leads\/here gets 200\n(?:.*\n)*Next: answer 404/,
    ],
    [
      'a gateway that answers nothing but /health',
      () => write('mute', answering('if (request.url === "/health") response.end("{}");')),
      [],
      /answers GET \/health, and then hangs.*\n {2}GET \S+ gets no answer within 5 s\n(?:.*\n)*Next: /,
    ],
    [
      'a gateway that dies at the first request',
      () =>
        write(
          'shy',
          answering(
            'if (request.url === "/health") response.end("{}"); else { console.error("oh no"); process.exit(9); }',
          ),
        ),
      [],
      /answers GET \/health, and then exits.*\nIt ended with exit code 9\. It printed:\n {2}oh no\nNext: /,
    ],
    [
      'a sentence that does not exist',
      () => plainCommand,
      ['--sentence', 'no such words'],
      /No sentence was judged: none contains "no such words"\.\nNext: /,
    ],
  ];

  test.for(cases)('%s: exit code 2, and clear words', async ([, command, words, said]) => {
    const { code, text } = await verify('2', '--cmd', command(), ...words);
    expect(text).toMatch(said);
    expect(text).not.toMatch(/^ +at .*shared/m);
    expect(code).toBe(2);
  });

  test.skipIf(onWindows)(
    'a wrapper that keeps signals to itself, and leaves nothing behind',
    async ({ expect }) => {
      const behind = write(
        'behind',
        answering('response.writeHead(request.url === "/health" ? 200 : 404).end();'),
      );
      const wrapper = write(
        'wrapper',
        `import { spawn } from 'node:child_process'; spawn('node', [${JSON.stringify(behind.slice(5))}], { stdio: 'inherit' }); process.on('SIGTERM', () => process.exit(1));`,
      );
      const { code, text } = await verify('1', '--cmd', wrapper);
      expect(text).toMatch(
        /ends at SIGTERM, but the gateway that it started keeps running(?:.*\n)+Next: name the program itself/,
      );
      expect(code).toBe(2);
      await expect.poll(() => alive('behind'), { timeout: 5_000 }).toEqual([]);
    },
  );

  test('one for which the time is up, and leaves nothing behind', async ({ expect }) => {
    const command = write(
      'slow',
      answering(
        'if (!request.url.startsWith("/api")) response.writeHead(request.url === "/health" ? 200 : 404).end();',
      ),
    );
    const { code, text } = await verify('1', '--cmd', command, '--limit', '5', '--sentence', 'a method');
    expect(text).toMatch(/Time is up after 5 s, and \d+ sentences are open\.(?:.*\n)+Next: /);
    expect(code).toBe(2);
    await expect.poll(() => alive('slow'), { timeout: 10_000 }).toEqual([]);
  });

  test('a port on which something answers before the start', async () => {
    const occupant = http
      .createServer((_, response) => response.end('{"status":"ok"}'))
      .listen(0, '127.0.0.1');
    await once(occupant, 'listening');
    const { port } = occupant.address() as AddressInfo;
    const subject = {
      words: ['node', 'no-such-file'],
      command: 'node no-such-file',
      kind: 'command',
    } as const;
    const tried = tryOut(subject, phases[0] as Phase, { startMs: 1_000, port });
    await expect(tried).rejects.toThrow(NotJudged);
    await expect(tried).rejects.toThrow(
      `Something answers on 127.0.0.1:${port} before the gateway is started`,
    );
    occupant.close();
  });

  test.for([
    [['9'], /There is no phase "9"\. The phases are: 1 /],
    [['--cmd', 'node x.js'], /Name the phase that the gateway claims to be/],
    [['--phase'], /Name the phase .* npm run verify -- 1 --phase\n/],
    [['2', '--phase', '--cmd', 'x'], /--phase and --cmd name two gateways/],
    [['2', '--cmd', ' '], /--cmd needs a command/],
    [['2', '--cmd', 'x', '--only', '3'], /--only takes a whole number from 1 to 2, not "3"/],
    [['2', '--cmd', 'x', '--step', '6'], /--step takes a whole number from 1 to 5, not "6"/],
    [['2', '--cmd', 'x', '--limit', '0'], /--limit takes a whole number from 1 to/],
    [['2', '--cmd', 'x', '--watch'], /--watch needs a command that names a file or folder/],
    [['2', '3'], /Did not expect "3"/],
    [['--bial'], /Unknown option '--bial'/],
  ] as Array<[string[], RegExp]>)(
    '%j is refused with what is allowed, exit code 2',
    async ([words, said]) => {
      const { code, text } = await verify(...words);
      expect(text).toMatch(said);
      expect(text).not.toMatch(/^ +at /m);
      expect(code).toBe(2);
    },
  );

  test('--help prints every option', async () => {
    const { code, text } = await verify('--help');
    expect(code).toBe(0);
    for (const option of [
      'cmd',
      'phase',
      'only',
      'step',
      'sentence',
      'bail',
      'hold',
      'all',
      'watch',
      'limit',
    ])
      expect(text).toContain(`--${option}`);
  });
});

describe('what was sent', () => {
  const exchange = (sent: string) => ({
    port: 1234,
    sent,
    sentBytes: sent.length,
    received: '',
    receivedBytes: 0,
    end: 'open',
  });
  const host = 'Host: 127.0.0.1:1234\r\nConnection: close\r\n';

  test.for([
    [`GET /a HTTP/1.1\r\n${host}\r\n`, 'curl -i http://127.0.0.1:1234/a'],
    [`GET /a?b=[1] HTTP/1.1\r\n${host}\r\n`, 'curl -i --request-target "/a?b=[1]" http://127.0.0.1:1234/'],
    [`GET /a/../b HTTP/1.1\r\n${host}\r\n`, 'curl -i --path-as-is http://127.0.0.1:1234/a/../b'],
    [`GET /a#b HTTP/1.1\r\n${host}\r\n`, 'curl -i --request-target "/a#b" http://127.0.0.1:1234/'],
    [`HEAD /a HTTP/1.1\r\n${host}\r\n`, 'curl -i -I http://127.0.0.1:1234/a'],
    [
      `GET /a HTTP/1.1\r\nHost: b\r\nX-A: 'c' "d"\r\nX-E:\r\n\r\n`,
      `curl -i -H "Host: b" -H 'X-A: '\\''c'\\'' "d"' -H "X-E;" http://127.0.0.1:1234/a`,
    ],
    [
      `POST /a HTTP/1.1\r\n${host}Content-Type: text/plain\r\nContent-Length: 3\r\n\r\nb c`,
      'curl -i -X POST -H "Content-Type: text/plain" --data-raw "b c" http://127.0.0.1:1234/a',
    ],
    [
      `POST /a HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n1\r\nb\r\n2\r\ncd\r\n0\r\n\r\n`,
      'curl -i -X POST -H "Transfer-Encoding: chunked" -H Content-Type: --data-raw bcd http://127.0.0.1:1234/a',
    ],
    [`GET /a HTTP/1.0\r\n${host}\r\n`, 'curl -i --http1.0 http://127.0.0.1:1234/a'],
    [
      `GET /\xff'\\ HTTP/1.1\r\n${host}\r\n`,
      `curl -i --request-target $'/\\xff\\'\\\\' http://127.0.0.1:1234/`,
    ],
    [`GET /a HTTP/1.1\r\n${host}X-A: \xe9\r\n\r\n`, `curl -i -H $'X-A: \\xe9' http://127.0.0.1:1234/a`],
  ] as Array<[string, string]>)('%j is this curl line', ([sent, curl]) => {
    expect(toCurl(exchange(sent))).toBe(curl);
  });

  test.each([
    `GET /a HTTP/1.1\r\n${host}Host: b\r\n\r\n`,
    `GET /a HTTP/1.1\r\n\r\n`,
    `GET /a HTTP/1.1\r\n${host}X-A : b\r\n\r\n`,
    `GET /a HTTP/1.1\r\n${host}X-A:  b\r\n\r\n`,
    `GET /a HTTP/1.1\r\n${host}X-A: \x00\r\n\r\n`,
    `GET /a HTTP/1.1\r\n${host}\r\nGET /b HTTP/1.1\r\n${host}\r\n`,
    `POST /a HTTP/1.1\r\n${host}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    `POST /a HTTP/1.1\r\n${host}Content-Length: 9\r\n\r\nb`,
    'SSH-2.0-OpenSSH\r\n\r\n',
  ])('%j is none', (sent) => {
    expect(toCurl(exchange(sent))).toBeUndefined();
  });

  const hasBash = !onWindows && spawnSync('bash', ['-c', 'curl --version']).status === 0;
  test.skipIf(!hasBash)('of any bytes but 0 works in bash', async () => {
    let received = '';
    const server = net.createServer((socket) => {
      socket.setEncoding('latin1').on('data', (text: string) => {
        received += text;
        if (received.includes('body')) socket.end('HTTP/1.1 204 No Content\r\n\r\n');
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const parts = [`/caf\xc3\xa9?q=\xe9'`, `X-A: \xff\\"`, `\x80body`];
    const sent = `POST ${parts[0]} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n${parts[1]}\r\nContent-Length: 5\r\n\r\n${parts[2]}`;
    const child = spawn('bash', ['-c', toCurl({ ...exchange(sent), port }) ?? 'false'], { stdio: 'ignore' });
    await once(child, 'exit');
    server.close();
    for (const part of parts) expect(received).toContain(part);
  });

  test('is none when only the beginning of it is known', () => {
    expect(toCurl({ ...exchange(`GET /a HTTP/1.1\r\n${host}\r\n`), sentBytes: 9_999 })).toBeUndefined();
  });

  test('is spelled out byte by byte', () => {
    expect(spellOut('GET /\xe9\\ HTTP/1.1\r\n\tb\n', 29)).toEqual([
      'GET /\\xe9\\\\ HTTP/1.1\\r\\n',
      '\\x09b\\n',
      '… 8 more bytes',
    ]);
  });
});

describe('a verdict', () => {
  const failed: TestResult = {
    suite: 1,
    file: '1-routing/01-one-route.test.ts',
    name: 'a prefix > is taken off',
    state: 'failed',
    faults: [{ message: 'x', diff: '', expected: undefined, actual: undefined, place: '' }],
    evidence: undefined,
  };

  test('on an overloaded machine is to be repeated, and nothing is to be fixed', () => {
    const phase = phases[0] as Phase;
    const subject = { words: ['x'], command: 'x', kind: 'command' } as const;
    const options = { phase, subject } as unknown as Parameters<typeof tellFailure>[0];
    const text = tellFailure(options, undefined, { seconds: 9, overload: tellOverload(0.1) });
    expect(text).toMatch(
      /The machine is overloaded: .* gets 10 % .*\nNext: end other programs, then judge again: npm run/,
    );
    expect(text).not.toMatch(/fix|first failure/);
    expect(tellOverload(0.5)).toBe('');
    expect(tellFailure(options, undefined, { seconds: 9, overload: '' })).toContain(
      'Next: fix the first failure.',
    );
  });

  test('shows one screen, even of a failure that is longer', () => {
    const message = `expected x to match y\n${'line\n'.repeat(100)}`;
    const exchange = {
      port: 1,
      sent: 'GET /a HTTP/1.1\r\nHost: a\r\n\r\n',
      sentBytes: 28,
      received: `HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n${'line\n'.repeat(80)}`,
      receivedBytes: 442,
      end: 'open',
    };
    const long = {
      ...failed,
      faults: [{ ...(failed.faults[0] as TestResult['faults'][0]), message }],
      evidence: { exchanges: [exchange], gateways: [] },
    };
    const verdict = { tests: [long], breakdowns: [], timeIsUp: false, hangs: false };
    let kept = '';
    const text = formatFailures(
      verdict,
      false,
      (full) => {
        kept = full;
        return 'the-file';
      },
      14,
    );
    expect(text.split('\n').length).toBeLessThanOrEqual(30);
    expect(text).toMatch(/\n +read .*\n\nIn full: the-file$/);
    expect(kept.split('\n').length).toBeGreaterThan(30);
  });

  test.for([
    ['that skips itself', 'no IPv6 here', 'skipped'],
    ['that its file did not reach', undefined, 'unreached'],
  ] as const)('of a sentence %s', ([, note, state]) => {
    const module = { moduleId: '/x/1-routing/01-one-route.test.ts', project: { name: '1' } };
    const result = () => ({ state: 'skipped', errors: undefined, note });
    const sentence = { module, result, options: { mode: 'run' }, fullName: 'a', meta: () => ({}) };
    expect(readTest(sentence as unknown as Parameters<typeof readTest>[0]).state).toBe(state);
  });
});
