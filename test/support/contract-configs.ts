import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readText } from '../../shared/repository/phase-files.ts';
import { listPhases, root } from '../../shared/repository/phases.ts';
import { listSteps } from '../../shared/repository/steps.ts';

/** A config that a suite gives to its gateway, good or bad. */
export interface ContractConfig {
  /** The level of the gateway for which it was written. */
  level: number;
  /** The text of the file. */
  text: string;
}

// Tests about configs are in groups with these names, in every suite.
const groups = '(?:a config|a bad config|the config|a start is refused)';

// Answers 200 to every request, so that the hooks before the tests find a gateway that is ready.
const anyGateway =
  'require(\'node:http\').createServer((_, answer) => answer.end(\'{"status":"ok"}\')).listen(process.env.PORT)';

/**
 * Collects the configs with which the suites test how a config is read, for a gateway of the suite's own phase and for
 * the newest. The suites run against a program that reads no config: the configs do not depend on what a gateway does.
 */
export async function collectContractConfigs(): Promise<ContractConfig[]> {
  const folder = mkdtempSync(join(tmpdir(), 'gateway-configs-'));
  try {
    await runSuites(folder);
    return readdirSync(folder)
      .filter((name) => name.startsWith('level-'))
      .map((name) => ({
        level: parseInt(name.slice('level-'.length), 10),
        text: readText(join(folder, name)),
      }));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The files of a suite that have such a group, as paths from the root. */
function filesAboutConfigs(suite: number): string[] {
  const isGroup = new RegExp(`^describe\\S*\\('${groups}'`, 'm');
  return listSteps(suite)
    .map(({ file }) => `shared/contract/${file}`)
    .filter((file) => isGroup.test(readText(join(root, file))));
}

/** Resolves when the suites have ended. Most of their tests fail, because the program accepts everything. */
function runSuites(folder: string): Promise<void> {
  const numbers = listPhases().map(({ number }) => number);
  const newest = Math.max(...numbers);
  const levelsOf = (suite: number) => [...new Set([suite, newest])];
  const projects = numbers.flatMap((suite) =>
    levelsOf(suite).map((level) => ({
      test: {
        name: `suite-${suite}-level-${level}`,
        root,
        include: filesAboutConfigs(suite),
        setupFiles: [join(import.meta.dirname, 'record-configs.ts')],
        env: {
          GATEWAY_COMMAND: JSON.stringify([process.execPath, '-e', anyGateway]),
          GATEWAY_LEVEL: String(level),
          CONFIGS_FOLDER: folder,
        },
      },
    })),
  );
  const config = join(folder, 'vitest.config.mjs');
  writeFileSync(config, `export default ${JSON.stringify({ test: { projects } })};\n`);
  const vitest = join(root, 'node_modules/vitest/vitest.mjs');
  const words = [
    vitest,
    'run',
    '--config',
    config,
    '--testNamePattern',
    `^${groups}\\b`,
    '--reporter',
    'dot',
  ];
  return new Promise((resolve) => {
    execFile(process.execPath, words, { cwd: root, maxBuffer: Infinity }, () => resolve());
  });
}
