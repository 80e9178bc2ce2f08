import { isDeepStrictEqual } from 'node:util';
import type { GitObject } from '../kit/history/git-objects.ts';
import { buildHistory, listIds, type TaggedPhase, tagger } from '../kit/history/phase-history.ts';
import { git } from '../repository/git.ts';
import { readLock } from '../repository/phase-hash.ts';
import { listPhaseFolders } from '../repository/phases.ts';
import { readArguments } from '../terminal/arguments.ts';
import { CliError, runCommand } from '../terminal/cli-error.ts';
import { refuseWords } from '../terminal/option-values.ts';
import { toText } from '../terminal/table.ts';

const usage = `npm run tags

Makes a linear history of the phases, the annotated tags phase-1, phase-2 …, and phase-0 beside it. Each tag holds its
phase as a project of its own, the same files that npm run export writes. The ids are the same in every clone;
phases/phases.lock.json records them. Branches, the working tree, and tags of these names that this command did not make
are not changed.
  --help   this text`;

/** What to do with one tag. */
interface Plan {
  tagged: TaggedPhase;
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
  const history = buildHistory(listPhaseFolders());
  refuseUnrecorded(history);
  refuseOtherFormats();
  const plans = history.map(planTag);
  const foreign = plans.filter(({ what }) => what === 'not ours');
  if (foreign.length > 0) refuseForeign(foreign);

  const open = plans.filter(({ what }) => what !== 'unchanged');
  const written = new Set<string>();
  for (const object of open.flatMap(({ tagged }) => tagged.objects)) {
    if (!written.has(object.id)) writeObject(object);
    written.add(object.id);
  }
  const absent = '0'.repeat(40);
  // git applies all updates or none, and only if each tag still has the id that was read above.
  const updates = open.map(
    ({ tagged, present }) => `update refs/tags/${tagged.name} ${tagged.tag.id} ${present ?? absent}\n`,
  );
  run(['update-ref', '--stdin'], updates.join(''));
  return describeTags(plans);
}

/** Tags of phases that were changed and not frozen would differ from those of other clones. */
function refuseUnrecorded(history: TaggedPhase[]): void {
  const ids = listIds(history);
  const { tags } = readLock();
  const different = history.find(({ name }) => !isDeepStrictEqual(ids[name], tags[name]));
  if (!different) return;
  const { number, name } = different.phase;
  throw new CliError(
    `${name} is not as recorded in phases/phases.lock.json, or the files around it are not. ` +
      `Tags are made only of frozen phases.\n` +
      `Next: undo your changes (git status shows them), or record them: npm run freeze -- ${number} --why "REASON"`,
  );
}

function refuseOtherFormats(): void {
  const format = run(['rev-parse', '--show-object-format']).trim();
  if (format === 'sha1') return;
  throw new CliError(`This repository has the object format ${format}. The recorded ids are for sha1.`);
}

function planTag(tagged: TaggedPhase): Plan {
  const found = git(['rev-parse', '--verify', '--quiet', `refs/tags/${tagged.name}`]);
  if (found.status !== 0) return { tagged, present: undefined, what: 'new' };
  const present = found.stdout.trim();
  if (present === tagged.tag.id) return { tagged, present, what: 'unchanged' };
  // A lightweight tag has no tagger, and an annotated tag of the user has a different one.
  const isTag = run(['cat-file', '-t', present]).trim() === 'tag';
  const content = isTag ? run(['cat-file', 'tag', present]) : '';
  const isOurs = content.includes(`\ntagger ${tagger.name} <${tagger.email}> `);
  return { tagged, present, what: isOurs ? 'moved' : 'not ours' };
}

function refuseForeign(plans: Plan[]): never {
  const names = plans.map(({ tagged }) => tagged.name);
  throw new CliError(
    `${names.join(', ')}: there is a tag of this name that npm run tags did not make. Nothing was changed.\n` +
      `Next: copy it to another name if you need it (git tag my-${names[0]} ${names[0]}), ` +
      `delete it (git tag -d ${names.join(' ')}), then npm run tags`,
  );
}

function writeObject({ type, content, id }: GitObject): void {
  const written = run(['hash-object', '-t', type, '-w', '--stdin'], content).trim();
  if (written !== id) throw new Error(`git returned the id ${written} for a ${type}; ${id} was expected.`);
}

function describeTags(plans: Plan[]): string {
  const rows = plans.map(({ tagged, what }) => [
    tagged.name,
    tagged.commit.id.slice(0, 12),
    what,
    tagged.phase.name,
  ]);
  const [last, previous = last] = plans.map(({ tagged }) => tagged).reverse();
  if (!last || !previous) return 'There are no phases yet.';
  return [
    toText(rows, Infinity),
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
