import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import {
  findLead,
  findSection,
  type Page,
  pickRows,
  readPage,
  relink,
  titleOf,
} from '../../repository/markdown.ts';
import { comparePhases } from '../../repository/phase-diff.ts';
import { type Phase, root } from '../../repository/phases.ts';
import { listSteps } from '../../repository/steps.ts';
import type { Acceptance, Origin } from './origin.ts';
import { minutesFor } from './step-minutes.ts';

/** The text of PHASE.md, taken from the contract and the documents. */
export function writePhasePage(
  phase: Phase,
  before: Phase | undefined,
  origin: Origin,
  acceptances: Acceptance[],
): string {
  const readme = readPage(`phases/${phase.name}/README.md`);
  const contract = readPage('docs/contract.md');
  const parts: Array<[title: string, text: string]> = [
    ['Your starting point', startingPoint(phase, before, origin, acceptances)],
    ['The contract', contractOf(phase, contract)],
    [
      'Not required',
      link(
        findSection(readme, (title) => title === 'What it does not do'),
        readme,
      ),
    ],
    ['What must stay true', invariants(phase, before, contract)],
    ['The steps', listPages(phase)],
    ['Where to look', listPlaces(phase, before)],
    ['Commands', commands(phase)],
  ];
  return [
    `# Phase ${phase.number}, ${titleOf(phase)}`,
    link(findLead(readme), readme),
    ...parts.filter(([, text]) => text !== '').map(([title, text]) => `## ${title}\n\n${text}`),
    '',
  ]
    .join('\n\n')
    .trimEnd()
    .concat('\n');
}

function startingPoint(
  phase: Phase,
  before: Phase | undefined,
  origin: Origin,
  acceptances: Acceptance[],
): string {
  const start =
    'Start it with `node --import tsx workspace/server.ts`, and the demo services with `npm run services`.';
  if (origin === 'empty') {
    return `\`server.ts\` reads its config, answers \`GET /health\` with 200 and everything else with 501. Nearly all sentences fail. You choose your files yourself: the suites see only the running gateway. ${start}`;
  }
  if (origin === 'first') {
    return `\`server.ts\` is a first gateway in four steps, which its comments number: route, rewrite, call, stream back. It forwards requests as long as clients are polite and services healthy; most sentences are about what happens otherwise. Change it as you like, or choose your own files: the suites see only the running gateway. ${start}`;
  }
  const owner = origin === 'mine' ? 'your own gateway' : `a copy of phase ${before?.number}`;
  const lines = [
    `This folder is ${owner}. It starts with the config of phase ${phase.number}, behaves as before, and fails only the new suite. ${start}`,
    '',
    `- \`gateway.json\` is the demo config of phase ${phase.number}.`,
    ...acceptances.map(({ field, file }) =>
      file === undefined
        ? `- **First of all:** let your config accept \`${field.path}\`. No zod object with ${field.siblings.map((name) => `\`${name}\``).join(', ')} was found, so the kit could not do it.`
        : `- \`${file}\` accepts \`${field.path}\` without a check, so that the gateway starts. Give it a schema.`,
    ),
  ];
  return lines.join('\n');
}

function contractOf({ number }: Phase, contract: Page): string {
  const config = readPage('docs/config.md');
  const errors = readPage('docs/errors.md');
  const isOwn = (cells: string[]) => cells.at(-1) === String(number);
  const named = (cells: string[]) => cells.some((cell) => new RegExp(`\\bphase ${number}\\b`).test(cell));
  const tables: Array<[title: string, table: string]> = [
    ['Config fields', link(pickRows(config.text, isOwn), config)],
    ['Refusals', link(pickRows(errors.text, isOwn), errors)],
    [
      'Environment',
      link(
        pickRows(
          findSection(contract, (title) => title === 'Environment'),
          named,
        ),
        contract,
      ),
    ],
    [
      'Log lines and fields',
      link(
        pickRows(
          findSection(contract, (title) => title === 'Log'),
          named,
        ),
        contract,
      ),
    ],
  ];
  return [
    link(
      findSection(contract, (title) => title.startsWith(`Phase ${number}:`)),
      contract,
    ),
    ...tables.filter(([, table]) => table !== '').map(([title, table]) => `### ${title}\n\n${table}`),
  ].join('\n\n');
}

function invariants(phase: Phase, before: Phase | undefined, contract: Page): string {
  const order = /^The stages: .*$/m.exec(contract.text)?.[0];
  const kept = before?.number === 1 ? 'suite 1 stays' : `suites 1 to ${before?.number} stay`;
  return [
    ...(before ? [`- The contract of the earlier phases: ${kept} green.`] : []),
    ...(order ? [`- ${order}`] : []),
    '- The gateway never retries a call, and a refusal never contains an address, a key or a stack trace.',
    `- Environment, log, signals and refusals are as in ${link('[the contract](#environment)', contract)}.`,
    `- A config of a phase after ${phase.number}, or a misspelt field, stops the start.`,
  ].join('\n');
}

function listPages({ number }: Phase): string {
  const steps = listSteps(number).map(
    (step) =>
      `${step.number}. [${step.title}](../shared/contract/${step.file}), about ${minutesFor(step)} minutes`,
  );
  const head =
    '[TASK.md](TASK.md) is the page of the first step that is open. The page of the next step appears when it is green.';
  return [head, steps.join('\n')].join('\n\n');
}

function listPlaces(phase: Phase, before: Phase | undefined): string {
  const changes = before ? comparePhases(before.folder, phase.folder) : [];
  const code = changes.filter(({ path, kind }) => kind !== 'unchanged' && path !== 'README.md');
  const changed = code.filter(({ kind }) => kind === 'changed');
  const added = code.filter(({ kind }) => kind === 'new');
  const list = (files: typeof code) => files.map(({ path }) => `\`${path}\``).join(', ');
  return [
    ...(before
      ? [
          `- The reference changes ${list(changed)} and adds ${list(added)}. Your gateway may do it in another way.`,
        ]
      : []),
    ...listReading(phase),
  ].join('\n');
}

/** What to read about a phase, as the lines of a list. */
export function listReading(phase: Phase): string[] {
  return [
    ...findChapters(phase).map((path) => `- The chapter: [${path}](../${path})`),
    '- Every field: [docs/config.md](../docs/config.md). Every refusal: [docs/errors.md](../docs/errors.md). The whole contract: [docs/contract.md](../docs/contract.md)',
    `- The README of [the reference](../phases/${phase.name}/README.md): the flow, and the traps. Read its code when you are done, or when the hints do not help`,
  ];
}

/** The name of a document about one phase begins with its number. */
function findChapters(phase: Phase): string[] {
  const docs = join(root, 'docs');
  if (!existsSync(docs)) return [];
  return readdirSync(docs, { recursive: true, encoding: 'utf8' })
    .map((path) => `docs/${path.replaceAll('\\', '/')}`)
    .filter((path) => new RegExp(`/0?${phase.number}-[^/]*\\.md$`).test(path))
    .sort();
}

function commands({ number }: Phase): string {
  const rows = [
    [`npm run verify -- ${number}`, 'judges your gateway; `--watch` judges it again after every change'],
    [`npm run hint -- ${number}`, 'a hint for the first sentence that fails'],
    ['npm run progress', 'the ladder with a row for your workspace'],
    [`npm run compare -- ${number}`, 'compares your files with the reference'],
    [`npm run rescue -- ${number} FILE`, 'copies one file of the reference'],
    ['npm run reset', 'starts the phase again; a copy of your files is kept'],
  ];
  return [
    '| command | what it does |',
    '|---|---|',
    ...rows.map(([name, what]) => `| \`${name}\` | ${what} |`),
  ].join('\n');
}

function link(text: string, page: Page): string {
  return relink(text, page, 'workspace');
}
