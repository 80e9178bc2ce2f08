// Plain JavaScript without packages, for any Node since 2020: this must run where the rest of the repository does not.
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  watch,
  writeFileSync,
} from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const usage = `npm run doctor

Checks whether this machine has what the repository needs, and says how to fix each problem.
Exit code 0: nothing that is needed is missing. Exit code 1: there is a problem. A note is not a problem.
  --help   this text`;

const root = fileURLToPath(new URL('../..', import.meta.url));
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const timeoutMs = 3000;

const ok = (name, found) => ({ level: 'ok', name, found, fix: [] });
const note = (name, found, ...fix) => ({ level: 'note', name, found, fix });
const problem = (name, found, ...fix) => ({ level: 'problem', name, found, fix });

async function main() {
  const [word] = process.argv.slice(2);
  if (word === '--help' || word === '-h') return console.log(usage);
  if (word !== undefined) {
    console.error(`Did not expect "${word}".\n\n${usage}`);
    process.exitCode = 1;
    return;
  }
  const findings = [checkNode(), checkNpm(), checkPackages(), checkGit(), checkCurl(), checkRedisServer()];
  if (process.env.REDIS_URL) findings.push(await checkRedisUrl(process.env.REDIS_URL));
  for (const { port, use } of listPorts()) findings.push(await checkPort(port, use));
  findings.push(await checkWatching());

  const width = Math.max(...findings.map(({ name }) => name.length));
  for (const { level, name, found, fix } of findings) {
    console.log(`  ${level.padEnd(7)}  ${name.padEnd(width)}  ${found}`);
    for (const line of fix) console.log(`${' '.repeat(width + 13)}${line}`);
  }
  const problems = findings.filter(({ level }) => level === 'problem').length;
  process.exitCode = problems > 0 ? 1 : 0;
  console.log(
    problems > 0
      ? `\n${problems === 1 ? '1 problem' : `${problems} problems`}. Next: follow the instructions above, then npm run doctor again.`
      : '\nThere is no problem. Next: npm start',
  );
}

function checkNode() {
  const wanted = manifest.engines.node.replace(/^>=/, '');
  const present = process.versions.node;
  if (isAtLeast(present, wanted)) return ok('Node', `${present}, and ${wanted} is enough`);
  return problem(
    'Node',
    `${present} is too old: ${wanted} or newer is needed`,
    'Get a newer one from https://nodejs.org, or with a version manager: nvm install (it reads .nvmrc).',
  );
}

function isAtLeast(present, wanted) {
  const numbers = (version) => version.split('.').map(Number);
  const have = numbers(present);
  for (const [index, need] of numbers(wanted).entries()) {
    if (have[index] !== need) return have[index] > need;
  }
  return true;
}

function checkNpm() {
  // On Windows npm is a batch file, which only a shell can start.
  const version =
    process.platform === 'win32' ? firstLine('npm --version', [], true) : firstLine('npm', ['--version']);
  if (version) return ok('npm', version);
  return problem('npm', 'not on PATH', 'It comes with Node: install Node from https://nodejs.org again.');
}

function checkPackages() {
  const wanted = Object.entries({ ...manifest.dependencies, ...manifest.devDependencies });
  const wrong = wanted.filter(([name, version]) => versionOf(name) !== version);
  if (wrong.length === 0) return ok('packages', `${wanted.length}, in the versions of package.json`);
  const [[name, version]] = wrong;
  const example = `${name} is ${versionOf(name) || 'missing'}, not ${version}`;
  return problem(
    'packages',
    `${wrong.length} of ${wanted.length} are not the versions of package.json: ${example}`,
    'npm ci',
  );
}

function versionOf(name) {
  try {
    return JSON.parse(readFileSync(join(root, 'node_modules', name, 'package.json'), 'utf8')).version;
  } catch {
    return undefined;
  }
}

function checkGit() {
  const version = firstLine('git', ['--version']);
  if (!version) {
    return note(
      'git',
      'not on PATH: npm run tags and npm run propagate need it',
      'Get it from https://git-scm.com.',
    );
  }
  const found = version.replace(/^git version /, '');
  if (firstLine('git', ['-C', root, 'rev-parse', '--git-dir'])) return ok('git', found);
  return note(
    'git',
    `${found}, but this folder is not a clone: npm run tags and npm run propagate need one`,
    'Clone the repository instead of unpacking an archive of it.',
    'If it is a clone, run git status here: git shows the reason.',
  );
}

function checkCurl() {
  const version = firstLine('curl', ['--version']);
  if (version) return ok('curl', version.split(' ')[1]);
  return note('curl', 'not on PATH: the calls in the documents need it', 'Get it from https://curl.se.');
}

function checkRedisServer() {
  const version = firstLine('redis-server', ['--version']);
  if (version) return ok('redis-server', (/v=(\S+)/.exec(version) || [version, version])[1]);
  const fixes = {
    linux: ['sudo apt install redis-server     (Debian, Ubuntu)'],
    darwin: ['brew install redis'],
    win32: [
      'It does not exist for Windows: use WSL, or docker compose up -d redis to run gateways with a Redis.',
    ],
  };
  return note(
    'redis-server',
    'not on PATH: the sentences of the contract that need it are skipped',
    ...(fixes[process.platform] || ['Install the Redis of your system.']),
  );
}

/** Checks that the Redis of REDIS_URL accepts a connection. Prints only host and port: the URL may hold a password. */
async function checkRedisUrl(text) {
  let url;
  try {
    url = new URL(text);
  } catch {
    return problem(
      'REDIS_URL',
      'is not a URL',
      'Set it to redis://127.0.0.1:6379, or unset it for the embedded Redis.',
    );
  }
  const place = `${url.hostname}:${url.port || 6379}`;
  const error = await new Promise((resolve) => {
    const socket = net.connect(Number(url.port || 6379), url.hostname.replace(/^\[|\]$/g, ''));
    socket.setTimeout(timeoutMs, () => socket.destroy(new Error('no answer')));
    socket.once('connect', () => {
      socket.destroy();
      resolve(undefined);
    });
    socket.once('error', (reason) => resolve(reason.code || reason.message));
  });
  if (error === undefined) return ok('REDIS_URL', `${place} accepts connections`);
  return problem(
    'REDIS_URL',
    `${place}: ${error}`,
    'Start it (docker compose up -d redis), or unset REDIS_URL for the embedded one.',
  );
}

/** The ports of the newest phase, as its config files name them. */
function listPorts() {
  const phases = readdirSync(join(root, 'phases')).filter((name) => /^\d+-/.test(name));
  const newest = phases.sort((a, b) => parseInt(a, 10) - parseInt(b, 10)).pop();
  if (newest === undefined) return [];
  const read = (name) => readFileSync(join(root, 'phases', newest, name), 'utf8');
  const gateway = matches(read('config.ts'), /\b(\w*PORT): z[^\n]*\.default\((\d+)\)/g);
  const services = matches(read('gateway.json'), /"([\w.-]+)": \{ "url": "http:\/\/127\.0\.0\.1:(\d+)"/g);
  return [
    ...gateway.map(([, name, port]) => ({ port: Number(port), use: name === 'PORT' ? 'the gateway' : name })),
    ...services.map(([, name, port]) => ({ port: Number(port), use: `the demo service ${name}` })),
  ];
}

function matches(text, pattern) {
  return Array.from(text.matchAll(pattern));
}

async function checkPort(port, use) {
  const error = await new Promise((resolve) => {
    const server = net.createServer();
    server.once('error', (reason) => resolve(reason.code));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(undefined)));
  });
  const name = `port ${port}`;
  if (error === undefined) return ok(name, `free, for ${use}`);
  if (error === 'EACCES') {
    return problem(
      name,
      `not allowed, and ${use} needs it`,
      'Choose another: npm start -- --help lists the options.',
    );
  }
  const finder = process.platform === 'win32' ? `netstat -ano | findstr :${port}` : `lsof -i :${port}`;
  return problem(
    name,
    `in use, and ${use} needs it`,
    `Stop what listens there (${finder} shows it), or choose another: npm start -- --help lists the options.`,
  );
}

/** Checks that fs.watch() reports a change of a file on this disk: npm run verify -- --watch needs that. */
async function checkWatching() {
  const parent = join(root, 'workspace-saves');
  const existed = existsSync(parent);
  mkdirSync(parent, { recursive: true });
  const folder = mkdtempSync(join(parent, '.watch-'));
  let watcher;
  let writing;
  let deadline;
  const error = await new Promise((resolve) => {
    try {
      watcher = watch(folder, () => resolve(undefined));
      watcher.once('error', (reason) => resolve(reason.code || reason.message));
    } catch (reason) {
      resolve(reason.code || reason.message);
    }
    // The file is written several times, because on some systems the watching begins with a delay.
    writing = setInterval(() => writeFileSync(join(folder, 'file'), String(Date.now())), 50);
    deadline = setTimeout(() => resolve('no change is reported'), timeoutMs);
  });
  clearInterval(writing);
  clearTimeout(deadline);
  if (watcher) watcher.close();
  rmSync(folder, { recursive: true, force: true });
  if (!existed) rmdirSync(parent);
  if (error === undefined) return ok('file watching', 'changes are reported');
  const fix = /^(?:ENOSPC|EMFILE)$/.test(error)
    ? 'Too many files are watched. Linux: sudo sysctl fs.inotify.max_user_watches=524288 fs.inotify.max_user_instances=512'
    : 'Network disks, and /mnt/c in WSL, report no changes: move the repository to a local disk of the system.';
  return note('file watching', `${error}: npm run verify -- --watch does not work`, fix);
}

function firstLine(program, words, shell = false) {
  const { status, stdout } = spawnSync(program, words, { encoding: 'utf8', shell, windowsHide: true });
  return status === 0 ? stdout.split('\n')[0].trim() : undefined;
}

await main();
