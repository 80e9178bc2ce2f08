import { type ExecFileOptions, execFile, spawnSync } from 'node:child_process';
import { devNull } from 'node:os';
import { parseArgsStringToArgv } from 'string-argv';
import { root } from '../repository/phases.ts';
import { scripts } from '../repository/scripts.ts';
import { CliError } from '../terminal/cli-error.ts';
import type { Ports } from './gateway.ts';

const commandBudgetMs = 60_000;

/** True when curl is on PATH. */
export const curlAvailable = spawnSync('curl', ['--version'], { windowsHide: true }).status === 0;

/**
 * Runs a documented command without a shell and returns its output, with the ports that the documents show. Throws a
 * CliError for a command that cannot be recorded. A command that fails is recorded with its message.
 */
export async function runDocumented(command: string, ports: Ports, folder = root): Promise<string> {
  const words = parseArgsStringToArgv(changePorts(command, ports));
  const firstWord = words.findIndex((word) => !/^[A-Z_]+=/.test(word));
  const assigned = words.slice(0, firstWord).map((word) => word.split(/=(.*)/s).slice(0, 2));
  const [program, ...args] = words.slice(firstWord);
  const env = {
    ...process.env,
    INIT_CWD: folder,
    FORCE_COLOR: undefined,
    NO_COLOR: '1',
    ...Object.fromEntries(assigned),
  };
  const output = await execute(...resolveProgram(program, args), { cwd: folder, env });
  const back = new Map([...ports].map(([documented, real]) => [real, documented]));
  const text = withoutLoad(changePorts(output.replaceAll('\r\n', '\n'), back)).trimEnd();
  // These fields depend on the day and on curl's connection.
  return program === 'curl' ? text.replaceAll(/^(?:date|connection|keep-alive): .*\n?/gim, '') : text;
}

/** A text without the remark of `npm run verify` that this machine is overloaded. Other machines are not. */
function withoutLoad(text: string): string {
  return text.replaceAll(/^This machine is overloaded: .*\n.*\n\n/gm, '');
}

function resolveProgram(program: string | undefined, args: string[]): [string, string[]] {
  if (program === 'node') return [process.execPath, args];
  if (program === 'npm' && args[0] === 'run') return [process.execPath, resolveScript(args.slice(1))];
  if (program === 'curl') {
    if (!curlAvailable)
      throw new CliError('curl is not on PATH. Get it from https://curl.se, then try again.');
    // Ignore ~/.curlrc and proxies; print errors, but no progress bar.
    const plain = ['-q', '-sS', '--noproxy', '*', '--max-time', '30'];
    return ['curl', [...plain, ...args.map((word) => (word === '/dev/null' ? devNull : word))]];
  }
  throw new CliError('A recorded command begins with curl, npm run or node.');
}

/** On Windows npm is a batch file, which needs a shell. So the file that the npm script runs is started directly. */
function resolveScript([name = '', dashes, ...args]: string[]): string[] {
  const [, file, words] = /^node --import tsx (\S+)(.*)$/.exec(scripts[name] ?? '') ?? [];
  if (file === undefined)
    throw new CliError(`"npm run ${name}" starts no TypeScript file of the repository.`);
  if (dashes !== undefined && dashes !== '--') throw new CliError('Options of an npm script go after "--".');
  return ['--import', 'tsx', file, ...parseArgsStringToArgv(words ?? ''), ...args];
}

function execute(program: string, args: string[], where: ExecFileOptions): Promise<string> {
  const options = { ...where, encoding: 'utf8' as const, timeout: commandBudgetMs, windowsHide: true };
  return new Promise((resolve, reject) => {
    execFile(program, args, options, (error, stdout, stderr) => {
      // Any exit code is accepted: documents also show commands that fail.
      if (error && typeof error.code !== 'number') {
        reject(new CliError(`${program} ended without an exit code: ${error.message}`));
      } else {
        // A response body may lack a final newline. curl's message then still begins on a new line.
        resolve([stdout, stderr].filter(Boolean).join(stdout.endsWith('\n') ? '' : '\n'));
      }
    });
  });
}

function changePorts(text: string, ports: Ports): string {
  return text.replaceAll(
    /(127\.0\.0\.1|localhost):(\d+)/g,
    (_, host: string, port: string) => `${host}:${ports.get(Number(port)) ?? port}`,
  );
}
