import { colour } from '../terminal/colour.ts';
import type { MutantVerdict } from './verdict.ts';

/** A block per phase: its mutants, their stories, and the tests that caught them. */
export function formatKillTable(verdicts: MutantVerdict[]): string {
  const phases = new Map(verdicts.map(({ mutant }) => [mutant.phase.name, mutant.phase]));
  return [...phases.keys()]
    .map((phase) =>
      formatPhase(
        phase,
        verdicts.filter(({ mutant }) => mutant.phase.name === phase),
      ),
    )
    .join('\n\n');
}

function formatPhase(phase: string, verdicts: MutantVerdict[]): string {
  const killed = verdicts.filter(({ outcome }) => outcome === 'killed').length;
  const head = colour.bold(`${phase}: ${killed} of ${verdicts.length} killed`);
  return [head, ...verdicts.map(formatVerdict)].join('\n\n');
}

function formatVerdict({ mutant, outcome, caught }: MutantVerdict): string {
  const paint = outcome === 'killed' ? colour.green : outcome === 'skipped' ? colour.bold : colour.red;
  return [
    `  ${paint(outcome.padEnd(8))}  ${mutant.name}`,
    `            ${mutant.story}`,
    ...caught.map(
      ({ file, test, times }) => `            ${file}: ${test}${times > 1 ? ` (${times} times)` : ''}`,
    ),
  ].join('\n');
}

/** What is wrong with a mutant that was not killed, and what to do about it; undefined when nothing is. */
export function findProblem({ mutant, outcome, missed, unexpected }: MutantVerdict): string | undefined {
  const { phase, name, story } = mutant;
  if (outcome === 'killed' || outcome === 'skipped') return undefined;
  const lines =
    outcome === 'survived'
      ? [
          'survived: no sentence fails. That is a hole in the contract.',
          `Next: add a sentence to a file of shared/contract/${phase.name} that fails with this mistake: ${story}`,
        ]
      : [
          'fails other sentences than its patch names.',
          ...missed.map(({ file, test }) => `  does not fail: ${file}: ${test}`),
          ...unexpected.map(({ file, test, reason }) => `  fails too: ${file}: ${test}\n${reason}`),
          `Next: find out why, then name in shared/mutants/${phase.name}/${name}.patch exactly the sentences that must fail.`,
        ];
  return `${phase.name}/${name} ${lines.join('\n')}`;
}
