import { isDeepStrictEqual } from 'node:util';
import { readArguments } from '../cli/arguments.ts';
import { CliError, runCommand } from '../cli/cli-error.ts';
import { git } from '../cli/git.ts';
import { refuseWords } from '../cli/option-values.ts';
import { readLock } from '../cli/phase-hash.ts';
import { listPhases } from '../cli/phases.ts';
import type { GitObject } from './git-objects.ts';
import { buildHistory, listIds, type Stage, tagger } from './phase-history.ts';

const usage = `npm run tags

Makes a linear history out of the phases: the annotated tags phase-1, phase-2 … Each tag holds its phase as a project of
its own, the same files that npm run export writes. The ids are the same in every clone; phases/phases.lock.json
records them. Branches and the working tree stay as they are, and so does a tag of that name that is not from here.
  --help   this text`;

/** What is to be done about one tag. */
interface Plan {
  stage: Stage;
  /** The id that the tag has now, if it exists. */
  present: string | undefined;
  what: 'new' | 'moved' | 'unchanged' | 'not ours';
}

await runCommand(() => {
  const { values, positionals } = readArguments(usage, { help: { type: 'boolean', short: 'h' } });
  if (values.help) return console.log(usage);
  refuseWords(usage, positionals);
  console.log(makeTags());
});

function makeTags(): string {
  const history = buildHistory(listPhases());
  refuseUnrecorded(history);
  refuseOtherFormats();
  const plans = history.map(planTag);
  const foreign = plans.filter(({ what }) => what === 'not ours');
  if (foreign.length > 0) refuseForeign(foreign);

  const open = plans.filter(({ what }) => what !== 'unchanged');
  const written = new Set<string>();
  for (const object of open.flatMap(({ stage }) => stage.objects)) {
    if (!written.has(object.id)) writeObject(object);
    written.add(object.id);
  }
  const absent = '0'.repeat(40);
  // All or none, and only if each tag still is what it was a moment ago.
  const updates = open.map(
    ({ stage, present }) => `update refs/tags/${stage.name} ${stage.tag.id} ${present ?? absent}\n`,
  );
  run(['update-ref', '--stdin'], updates.join(''));
  return describe(plans);
}

/** Tags of phases that were changed and not frozen would be other ones than in every other clone. */
function refuseUnrecorded(history: Stage[]): void {
  const ids = listIds(history);
  const { tags } = readLock();
  const different = history.find(({ name }) => !isDeepStrictEqual(ids[name], tags[name]));
  if (!different) return;
  const { number, name } = different.phase;
  throw new CliError(
    `${name} is not as recorded in phases/phases.lock.json, or the files around it are not. ` +
      `Tags are made of frozen phases only.\n` +
      `Next: take your changes back (git status shows them), or record them: npm run freeze -- ${number} --why "REASON"`,
  );
}

function refuseOtherFormats(): void {
  const format = run(['rev-parse', '--show-object-format']).trim();
  if (format === 'sha1') return;
  throw new CliError(`This repository names its objects by ${format}. The recorded ids are for sha1.`);
}

function planTag(stage: Stage): Plan {
  const found = git(['rev-parse', '--verify', '--quiet', `refs/tags/${stage.name}`]);
  if (found.status !== 0) return { stage, present: undefined, what: 'new' };
  const present = found.stdout.trim();
  if (present === stage.tag.id) return { stage, present, what: 'unchanged' };
  // A tag on a commit has no tagger of its own, and that of somebody else has another one.
  const isTag = run(['cat-file', '-t', present]).trim() === 'tag';
  const content = isTag ? run(['cat-file', 'tag', present]) : '';
  const isOurs = content.includes(`\ntagger ${tagger.name} <${tagger.email}> `);
  return { stage, present, what: isOurs ? 'moved' : 'not ours' };
}

function refuseForeign(plans: Plan[]): never {
  const names = plans.map(({ stage }) => stage.name);
  throw new CliError(
    `${names.join(', ')}: there is such a tag, and it was not made here. Nothing was changed.\n` +
      `Next: keep it under another name (git tag my-${names[0]} ${names[0]}), ` +
      `delete it (git tag -d ${names.join(' ')}), then npm run tags`,
  );
}

function writeObject({ type, content, id }: GitObject): void {
  const written = run(['hash-object', '-t', type, '-w', '--stdin'], content).trim();
  if (written !== id) throw new Error(`git names a ${type} ${written}, and it should be ${id}.`);
}

function describe(plans: Plan[]): string {
  const rows = plans.map(
    ({ stage, what }) =>
      `  ${stage.name}  ${stage.commit.id.slice(0, 12)}  ${what.padEnd(9)}  ${stage.phase.name}`,
  );
  const [last, previous = last] = plans.map(({ stage }) => stage).reverse();
  if (!last || !previous) return 'There are no phases yet.';
  return [
    ...rows,
    '',
    'Next:',
    `  git log --oneline ${last.name}`,
    `  git diff ${previous.name} ${last.name}`,
    `  git show --stat ${last.name}`,
    `  git worktree add ../${last.name} ${last.name}     then npm install and npm start in that folder`,
  ].join('\n');
}

function run(words: string[], input?: string | Buffer): string {
  const { status, stdout, stderr } = git(words, input);
  if (status === 0) return stdout;
  throw new CliError(`git ${words[0]} failed. git says: ${stderr.trim()}`);
}
