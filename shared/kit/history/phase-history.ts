import { titleOf } from '../../repository/markdown.ts';
import type { TagIds } from '../../repository/phase-hash.ts';
import type { Phase } from '../../repository/phases.ts';
import { buildProject } from '../project/files.ts';
import { type GitObject, makeBlob, makeCommit, makeTag, makeTree, type Signature } from './git-objects.ts';

/** One phase in the history: its tag, its commit, and all objects that these need. */
export interface TaggedPhase {
  phase: Phase;
  /** 'phase-3' */
  name: string;
  tag: GitObject;
  commit: GitObject;
  /** In writing order: an object comes after the objects that it refers to. */
  objects: GitObject[];
}

/** The tagger of these tags. The domain .invalid is reserved (RFC 2606), so the kit recognises its own tags by it. */
export const tagger = { name: 'Phased Gateway', email: 'phases@gateway.invalid' };

// Fixed dates, so that the ids are the same in every clone: 2026-01-01 for phase 1, and one more day for each later phase.
const firstSeconds = Date.UTC(2026, 0, 1) / 1000;
const daySeconds = 86_400;

/**
 * The phases as a linear history, and phase 0 as a commit of its own beside it. The ids depend only on contents, names and
 * dates, not on the repository.
 */
export function buildHistory(phases: Phase[]): TaggedPhase[] {
  const history: TaggedPhase[] = [];
  for (const phase of phases) {
    const before = history.at(-1);
    // No phase continues phase 0.
    history.push(buildTaggedPhase(phase, before?.phase.number === 0 ? undefined : before?.commit));
  }
  return history;
}

/** The ids of a history, as phases.lock.json records them. */
export function listIds(history: TaggedPhase[]): TagIds {
  return Object.fromEntries(
    history.map(({ name, tag, commit }) => [name, { tag: tag.id, commit: commit.id }]),
  );
}

function buildTaggedPhase(phase: Phase, parent: GitObject | undefined): TaggedPhase {
  const blobs = new Map([...buildProject(phase)].map(([path, text]) => [path, makeBlob(text)]));
  const tree = makeTree(blobs);
  const by: Signature = { ...tagger, seconds: firstSeconds + (phase.number - 1) * daySeconds };
  const name = `phase-${phase.number}`;
  const title = `Phase ${phase.number}: ${titleOf(phase)}`;
  const commit = makeCommit(tree, parent, by, title);
  const tag = makeTag(name, commit, by, `${title}, as a project of its own`);
  return { phase, name, tag, commit, objects: [...blobs.values(), tree, commit, tag] };
}
