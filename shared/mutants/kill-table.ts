import { colour } from '../cli/colour.ts';
import type { Verdict } from './verdict.ts';

/** A block per phase: its mutants, their stories, and the sentences that caught them. */
export function formatKillTable(verdicts: Verdict[]): string {
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

function formatPhase(phase: string, verdicts: Verdict[]): string {
  const killed = verdicts.filter(({ outcome }) => outcome === 'killed').length;
  const head = colour.bold(`${phase}: ${killed} of ${verdicts.length} killed`);
  return [head, ...verdicts.map(formatVerdict)].join('\n\n');
}

function formatVerdict({ mutant, outcome, caught }: Verdict): string {
  const paint = outcome === 'killed' ? colour.green : outcome === 'skipped' ? colour.bold : colour.red;
  return [
    `  ${paint(outcome.padEnd(8))}  ${mutant.name}`,
    `            ${mutant.story}`,
    ...caught.map(
      ({ file, sentence, times }) =>
        `            ${file}: ${sentence}${times > 1 ? ` (${times} times)` : ''}`,
    ),
  ].join('\n');
}

/** What is wrong with a mutant that was not killed, and what to do about it; undefined when nothing is. */
export function findProblem({ mutant, outcome, missed, surplus }: Verdict): string | undefined {
  const { phase, name, story } = mutant;
  if (outcome === 'killed' || outcome === 'skipped') return undefined;
  const lines =
    outcome === 'survived'
      ? [
          'survived: no sentence fails. That is a hole in the contract.',
          `Next: write the sentence in shared/contract/${phase.number}-*.test.ts that this breaks: ${story}`,
        ]
      : [
          'fails other sentences than its patch names.',
          ...missed.map(({ file, sentence }) => `  does not fail: ${file}: ${sentence}`),
          ...surplus.map(({ file, sentence, reason }) => `  fails too: ${file}: ${sentence}\n${reason}`),
          `Next: read why, then name in shared/mutants/${phase.name}/${name}.patch exactly what must fail.`,
        ];
  return `${phase.name}/${name} ${lines.join('\n')}`;
}
