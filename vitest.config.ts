import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';
import { listWorkspacePairs } from './shared/kit/workspace/workspace-pairs.ts';
import { buildPhase } from './shared/process/built-phase.ts';
import { listLadderPairs } from './shared/repository/pairs.ts';
import { listPhaseFolders, type Phase } from './shared/repository/phases.ts';

// The tests wait more than they compute: four files at a time even on two cores.
const maxWorkers = Math.max(4, availableParallelism());
// Nothing takes this long unless it hangs, even on a machine that has much else to do.
const timeouts = { testTimeout: 60_000, hookTimeout: 60_000 };
// Many sentences that phase 0 does not keep end by a timeout.
const phaseZeroTimeouts = { ...timeouts, testTimeout: 10_000 };

// They only read files: npm run check.
const structureTests = [
  'test/bench.test.ts',
  'test/config-schema.test.ts',
  'test/documents.test.ts',
  'test/hints.test.ts',
  'test/kit-parts.test.ts',
  'test/kubernetes-gateway.test.ts',
  'test/kubernetes-redis.test.ts',
  'test/kubernetes.test.ts',
  'test/names.test.ts',
  'test/phases.test.ts',
  'test/prometheus-text.test.ts',
  'test/rate-limit-fields.test.ts',
  'test/rooms.test.ts',
  'test/stack-cluster.test.ts',
  'test/stack.test.ts',
  'test/steps.test.ts',
];

// They take minutes: whole suites against broken gateways, every drill, every mutant, storms, the stack. npm run test:kit.
const kitTests = [
  'test/break-command.test.ts',
  'test/drills.test.ts',
  'test/mutants.test.ts',
  'test/project-commands.test.ts',
  'test/run-command.test.ts',
  'test/stack-restart.test.ts',
  'test/stack-running.test.ts',
  'test/storm.test.ts',
  'test/verify.test.ts',
  'test/workspace-commands.test.ts',
  'test/workshop.test.ts',
];

// Tests start several judges at a time. Each of them would call the machine overloaded, and could not measure how long
// clients wait.
const manyJudges = { JUDGE_CORE_SHARE: '1', WITHOUT_FAIRNESS: 'true' };

const phases = listPhaseFolders();

// The phases start as JavaScript, which takes a third of the time. The workspace changes while its suites run.
const servers = new Map(phases.map(({ folder }) => [folder, buildPhase(folder)]));
function commandOf(folder: string): string[] {
  const server = servers.get(folder);
  // With source maps, the stack of a gateway that died names the lines of its TypeScript.
  return server
    ? ['node', '--enable-source-maps', server]
    : ['node', '--import', 'tsx', join(folder, 'server.ts')];
}

// Random byte sequences: many against the newest phase, and the default number against the others.
const newestPhase = phases.at(-1);
const anyBytesCases = { ANY_BYTES_CASES: process.env.ANY_BYTES_CASES ?? '20000' };

// The sentences that phase 0 keeps are counted, so it runs to the end.
function runnerFor(phase: Phase, mustPass: boolean): { runner?: string } {
  if (mustPass) return { runner: './shared/ladder/shuffled.ts' };
  return phase.number === 0 ? {} : { runner: './shared/ladder/stop-at-first-failure.ts' };
}

// One project per suite and phase: the same files, held against another gateway each time.
const allPairs = [...listLadderPairs(phases), ...listWorkspacePairs()];
const pairs = allPairs.map(({ phase, suite, project, mustPass }) => ({
  test: {
    name: project,
    include: [`shared/contract/${suite}-*/*.test.ts`],
    env: {
      GATEWAY_COMMAND: JSON.stringify(commandOf(phase.folder)),
      GATEWAY_LEVEL: String(Math.max(phase.number, suite)),
      ...(phase === newestPhase ? anyBytesCases : {}),
      // It runs at the same time as the others.
      ...(phase.number === 0 ? { POOL_ID_OFFSET: '8' } : {}),
    },
    ...runnerFor(phase, mustPass),
    ...(phase.number === 0 ? phaseZeroTimeouts : timeouts),
  },
}));

export default defineConfig({
  test: {
    maxWorkers,
    // The order of the sentences, which shared/ladder/shuffled.ts shuffles. A failed run prints it, to be repeated with
    // --sequence.seed.
    sequence: { seed: Date.now() },
    projects: [
      { test: { name: 'structure', include: structureTests, ...timeouts } },
      {
        test: {
          name: 'commands',
          include: ['test/*.test.ts'],
          exclude: [...structureTests, ...kitTests],
          env: manyJudges,
          ...timeouts,
        },
      },
      {
        test: { name: 'kit', include: kitTests, env: manyJudges, testTimeout: 180_000, hookTimeout: 180_000 },
      },
      ...pairs,
    ],
  },
});
