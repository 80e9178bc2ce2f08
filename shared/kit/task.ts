import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { comparePhases } from '../cli/phase-diff.ts';
import { type Phase, root } from '../cli/phases.ts';
import type { Acceptance, Origin } from './fresh-workspace.ts';
import { findLead, findSection, type Page, pickRows, readPage, relink, titleOf } from './markdown-parts.ts';
import { readSentences } from './sentences.ts';

/** The text of TASK.md, taken from the contract, the documents and the suite of the phase. */
export async function writeTask(
  phase: Phase,
  before: Phase | undefined,
  origin: Origin,
  acceptances: Acceptance[],
): Promise<string> {
  const readme = readPage(`phases/${phase.name}/README.md`);
  const contract = readPage('docs/contract.md');
  const parts: Array<[title: string, text: string]> = [
    ['Where you stand', standpoint(phase, before, origin, acceptances)],
    ['The contract', contractOf(phase, contract)],
    [
      'Not asked for',
      link(
        findSection(readme, (title) => title === 'What it does not do'),
        readme,
      ),
    ],
    ['What must stay true', invariants(phase, before, contract)],
    ['The sentences', await sentencesOf(phase)],
    ['Where to look', places(phase, before)],
    ['Commands', commands(phase)],
  ];
  return [
    `# Task: phase ${phase.number}, ${titleOf(phase)}`,
    link(findLead(readme), readme),
    ...parts.filter(([, text]) => text !== '').map(([title, text]) => `## ${title}\n\n${text}`),
    '',
  ]
    .join('\n\n')
    .trimEnd()
    .concat('\n');
}

function standpoint(
  phase: Phase,
  before: Phase | undefined,
  origin: Origin,
  acceptances: Acceptance[],
): string {
  const start =
    'Start it with `node --import tsx workspace/server.ts`, and the demo services with `npm run services`.';
  if (origin === 'empty') {
    return `\`server.ts\` reads its config, answers \`GET /health\` with 200 and everything else with 501. All sentences but a few fail. Write it as you like: the contract knows nothing of your files. ${start}`;
  }
  const owner = origin === 'mine' ? 'your own gateway' : `a copy of phase ${before?.number}`;
  const lines = [
    `This folder is ${owner}. It starts with the config of phase ${phase.number}, does what it did before, and fails only the new suite. ${start}`,
    '',
    `- \`gateway.json\` is the demo config of phase ${phase.number}.`,
    ...acceptances.map(({ field, file }) =>
      file === undefined
        ? `- **First of all:** let your config accept \`${field.path}\`. No zod object was found that holds ${field.siblings.map((name) => `\`${name}\``).join(', ')}, so it could not be done for you.`
        : `- \`${file}\` lets \`${field.path}\` in unseen, so that the gateway starts. Give it a schema of its own.`,
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
    ...(before ? [`- Everything that was promised before: ${kept} green.`] : []),
    ...(order ? [`- ${order}`] : []),
    '- The gateway never retries a call, and a refusal never names an address, a key or a stack.',
    `- Environment, log, signals and refusals are as ${link('[the contract](#environment)', contract)} has them.`,
    `- A config of a later phase than ${phase.number}, or a misspelt field, stops the start.`,
  ].join('\n');
}

async function sentencesOf(phase: Phase): Promise<string> {
  const groups = await readSentences(phase.number);
  const count = groups.reduce((sum, { sentences }) => sum + sentences.length, 0);
  const blocks = groups.map(({ file, name, sentences }) =>
    [`**${name || file}**`, '', ...sentences.map((sentence) => `- ${sentence}`)].join('\n'),
  );
  const head = `\`npm run verify -- ${phase.number}\` checks these ${count}, and those of the phases before. A … stands for several values, and verify counts each.`;
  return [head, ...blocks].join('\n\n');
}

function places(phase: Phase, before: Phase | undefined): string {
  const changes = before ? comparePhases(before.folder, phase.folder) : [];
  const code = changes.filter(({ path, kind }) => kind !== 'unchanged' && path !== 'README.md');
  const changed = code.filter(({ kind }) => kind === 'changed');
  const added = code.filter(({ kind }) => kind === 'new');
  const list = (files: typeof code) => files.map(({ path }) => `\`${path}\``).join(', ');
  const suites = readdirSync(join(root, 'shared', 'contract')).filter((name) =>
    name.startsWith(`${phase.number}-`),
  );
  return [
    ...(before
      ? [`- The reference changes ${list(changed)} and adds ${list(added)}. Yours may do otherwise.`]
      : []),
    ...findChapters(phase).map((path) => `- The chapter: [${path}](../${path})`),
    `- The suite: ${suites.map((name) => `[${name}](../shared/contract/${name})`).join(', ')}`,
    '- Every field: [docs/config.md](../docs/config.md). Every refusal: [docs/errors.md](../docs/errors.md). The whole agreement: [docs/contract.md](../docs/contract.md)',
    `- The README of [the reference](../phases/${phase.name}/README.md), at any time: the flow, and the traps. Its code is for when you are done, or stuck for good`,
  ].join('\n');
}

/** Documents about one phase have its number in front of their name. */
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
    [`npm run verify -- ${number}`, 'judges your gateway; `--watch` judges it at every change'],
    [`npm run hint -- ${number}`, 'helps with the first sentence that fails'],
    ['npm run progress', 'your place on the ladder'],
    [`npm run compare -- ${number}`, 'your files beside the reference'],
    [`npm run rescue -- ${number} FILE`, 'takes one file from the reference'],
    ['npm run reset', 'begins anew; a copy of your files is kept'],
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
