import type { TagIds } from '../cli/phase-hash.ts';
import type { Phase } from '../cli/phases.ts';
import { type GitObject, makeBlob, makeCommit, makeTag, makeTree, type Signature } from './git-objects.ts';
import { titleOf } from './markdown-parts.ts';
import { buildProject } from './project-files.ts';

/** One phase in the history: its tag, the commit under it, and everything that these two need. */
export interface Stage {
  phase: Phase;
  /** 'phase-3' */
  name: string;
  tag: GitObject;
  commit: GitObject;
  /** In the order in which they can be written: what is named comes before what names it. */
  objects: GitObject[];
}

/** Who makes the tags. The address can never be anybody's (RFC 2606): this is how the kit knows its own. */
export const tagger = { name: 'Phased Gateway', email: 'phases@gateway.invalid' };

// Fixed, or the ids would differ from clone to clone: 2026-01-01, and a day more for each phase.
const firstSeconds = Date.UTC(2026, 0, 1) / 1000;
const daySeconds = 86_400;

/** The phases as commits one after the other. Takes nothing from git: content, names and dates make the ids. */
export function buildHistory(phases: Phase[]): Stage[] {
  const stages: Stage[] = [];
  for (const phase of phases) stages.push(buildStage(phase, stages.at(-1)?.commit));
  return stages;
}

/** The ids of a history, as phases.lock.json records them. */
export function listIds(history: Stage[]): TagIds {
  return Object.fromEntries(
    history.map(({ name, tag, commit }) => [name, { tag: tag.id, commit: commit.id }]),
  );
}

function buildStage(phase: Phase, parent: GitObject | undefined): Stage {
  const blobs = new Map([...buildProject(phase)].map(([path, text]) => [path, makeBlob(text)]));
  const tree = makeTree(blobs);
  const by: Signature = { ...tagger, seconds: firstSeconds + (phase.number - 1) * daySeconds };
  const name = `phase-${phase.number}`;
  const title = `Phase ${phase.number}: ${titleOf(phase)}`;
  const commit = makeCommit(tree, parent, by, title);
  const tag = makeTag(name, commit, by, `${title}, as a project of its own`);
  return { phase, name, tag, commit, objects: [...blobs.values(), tree, commit, tag] };
}
