import { createVitest, type TestSpecification } from 'vitest/node';
import { type FileOutcome, formatCounts, outcomeOfFile, sum } from '../process/vitest.ts';
import type { Pair } from '../repository/pairs.ts';
import { root } from '../repository/phases.ts';

/**
 * Runs each sentence of these pairs alone, in a process of its own with the hooks of its file, and prints the
 * failures and a line per round. Finds the sentences that need what another one has left behind.
 */
export async function runEachAlone(pairs: Pair[], print: (line: string) => void): Promise<FileOutcome> {
  const project = pairs.map((pair) => pair.project);
  const vitest = await createVitest('test', { root, watch: false, project, reporters: [{}] });
  try {
    await vitest.standalone();
    const files = await vitest.globTestSpecifications();
    const { testModules } = await vitest.collectTests(files);
    const queues = testModules.map((module) => [...module.children.allTests()].map(({ id }) => id));
    const counts = sum([]);
    const failures: string[] = [];
    // vitest keeps one result per file, so each run has one sentence of each file.
    const rounds = Math.max(0, ...queues.map((queue) => queue.length));
    for (let i = 0; i < rounds; i++) {
      const specifications = testModules.flatMap((module, file): TestSpecification[] => {
        const id = queues[file]?.[i];
        return id === undefined
          ? []
          : [module.project.createSpecification(module.moduleId, { testIds: [id] })];
      });
      const run = await vitest.runTestSpecifications(specifications);
      for (const module of run.testModules) {
        const outcome = outcomeOfFile(module);
        for (const failure of outcome.failures) print(failure);
        failures.push(...outcome.failures);
        if (outcome.failures.length > 0) counts.failed++;
        else if (outcome.counts.passed === 1) counts.passed++;
        else counts.skipped++;
      }
      print(`  sentence ${i + 1} of ${rounds} of each file: ${formatCounts(counts)}`);
    }
    return { counts, failures };
  } finally {
    await vitest.close();
  }
}
