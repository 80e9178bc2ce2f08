import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { titleOf } from '../../repository/markdown.ts';
import type { Phase } from '../../repository/phases.ts';
import { listSteps, type Step } from '../../repository/steps.ts';
import { type Group, readContractTests } from './contract-tests.ts';
import { listReading } from './phase-page.ts';
import { minutesFor } from './step-minutes.ts';
import { workspacePath } from './workspace.ts';

/**
 * Writes workspace/TASK.md, the page of a step; without a step, that all of them are kept. Returns false when the page is
 * there already.
 */
export async function showStep(phase: Phase, step: Step | undefined): Promise<boolean> {
  const file = join(workspacePath(), 'TASK.md');
  const heading = `# ${headingOf(phase, step)}\n`;
  if (existsSync(file) && readFileSync(file, 'utf8').startsWith(heading)) return false;
  const parts = step ? await describeStep(phase, step) : [tellDone(phase)];
  writeFileSync(file, `${[heading.trimEnd(), ...parts].join('\n\n')}\n`);
  return true;
}

function headingOf(phase: Phase, step: Step | undefined): string {
  const title = `Phase ${phase.number}, ${titleOf(phase)}`;
  if (!step) return `${title}: all steps are green`;
  const suite = step.suite === phase.number ? '' : `suite ${step.suite}, `;
  return `${title}: ${suite}step ${step.number} of ${listSteps(step.suite).length}, ${step.title}`;
}

async function describeStep(phase: Phase, step: Step): Promise<string[]> {
  const groups = (await readContractTests(step.suite)).filter(({ file }) => file === step.file);
  const count = groups.reduce((sum, { tests }) => sum + tests.length, 0);
  const only = step.suite === phase.number ? '' : ` --only ${step.suite}`;
  return [
    step.about,
    `It may take about ${minutesFor(step)} minutes. The contract of the whole phase, and your starting point, are in [PHASE.md](PHASE.md).`,
    '## The sentences',
    `\`npm run verify -- ${phase.number}\` judges step by step up to the first that is open. These are the ${count} sentences of this step, which \`npm run verify -- ${phase.number}${only} --step ${step.number}\` judges alone. A … stands for several values; verify counts each of them.`,
    ...listSentences(groups, step),
    '## Where to look',
    [
      `- The tests: [${step.title}](../shared/contract/${step.file})`,
      ...listReading(phase),
      `- A hint for the first sentence that fails: \`npm run hint -- ${phase.number}\``,
    ].join('\n'),
    'When this step is green, `npm run verify` writes the page of the next one here.',
  ];
}

/** A list per group under its name. Groups with the same name share one, and those without a name are headed by the step. */
export function listSentences(groups: Group[], step: Step): string[] {
  const lists = new Map<string, string[]>();
  for (const { name, tests } of groups) {
    const heading = withoutVariants(name) || step.title;
    lists.set(heading, [...(lists.get(heading) ?? []), ...tests]);
  }
  return [...lists].map(([heading, tests]) =>
    [`**${heading}**`, '', ...tests.map((test) => `- ${test}`)].join('\n'),
  );
}

/** Leaves out the blocks that only repeat what is in them for several values, such as 'with …'. */
function withoutVariants(name: string): string {
  const blocks = name.split(' > ');
  return blocks.filter((block, i) => i === blocks.length - 1 || !block.includes('…')).join(' > ');
}

function tellDone({ number }: Phase): string {
  return `Your gateway keeps the contract of this phase. Next: \`npm run compare -- ${number}\`, to compare your files with the reference.`;
}
