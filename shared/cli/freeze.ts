import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { buildHistory, listIds } from '../kit/history/phase-history.ts';
import { addErratum, formatErrata, parseErrata } from '../repository/errata.ts';
import { readText } from '../repository/phase-files.ts';
import { hashPhase, readLock, writeLock } from '../repository/phase-hash.ts';
import { findPhaseFolder, listPhaseFolders, root } from '../repository/phases.ts';
import { readArguments } from '../terminal/arguments.ts';
import { CliError, runCommand } from '../terminal/cli-error.ts';

const usage = `npm run freeze -- PHASE --why "REASON"

Records the hash of a phase in phases/phases.lock.json, and the reason in phases/ERRATA.md: phases that change on one
day for the same reason share an entry.
The first recording of a phase needs no reason and writes none. The ids of the tags are recorded too: see npm run tags.
  --help   this text`;

const errataFile = join(root, 'phases', 'ERRATA.md');
function main(): void {
  const { values, positionals } = readArguments(usage, {
    why: { type: 'string' },
    help: { type: 'boolean', short: 'h' },
  });
  console.log(values.help ? usage : freeze(positionals, values.why));
}

function freeze(words: string[], reason: string | undefined): string {
  if (words.length !== 1) {
    const known = listPhaseFolders().map(({ number }) => number);
    throw new CliError(`Name one phase: ${known.join(', ')}.\n\n${usage}`);
  }
  const { number, name, folder } = findPhaseFolder(words[0]);
  const lock = readLock();
  const recorded = lock.phases[name];
  const why = reason?.replace(/\s+/g, ' ').trim();
  const hash = hashPhase(folder);
  const tags = listIds(buildHistory(listPhaseFolders()));
  if (recorded === hash) {
    if (isDeepStrictEqual(tags, lock.tags)) return `${name} is as recorded. Nothing was written.`;
    writeLock({ ...lock, tags });
    return `${name} is as recorded. The ids of the tags have changed and were recorded.\nNext: npm run docs -- docs/workshop.md, which shows them.`;
  }
  if (recorded !== undefined && !why) {
    throw new CliError(`${name} is frozen: say why it changes. npm run freeze -- ${number} --why "REASON"`);
  }
  const errata = existsSync(errataFile) ? parseErrata(readText(errataFile)) : [];
  const today = new Date().toISOString().slice(0, 10);
  const added = recorded !== undefined && why ? addErratum(errata, today, number, why) : errata;
  writeLock({ phases: { ...lock.phases, [name]: hash }, tags });
  writeFileSync(errataFile, formatErrata(added));
  return `${name} is frozen as ${hash.slice(0, 12)}. The ids of the tags have changed.\nNext: npm run docs -- docs/workshop.md, which shows them, then npm test, then commit all of phases/.`;
}

await runCommand(main);
