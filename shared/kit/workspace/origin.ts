import type { NewField } from './new-fields.ts';

/**
 * What a workspace begins with: a copy of the phase before, the learner's own files, the first gateway of
 * shared/examples, or a server without routes.
 */
export type Origin = 'reference' | 'mine' | 'first' | 'empty';

/** A config field that the phase adds, and the file that accepts it. */
export interface Acceptance {
  field: NewField;
  /** The file of the workspace that accepts the field now; undefined when the learner has to add it. */
  file: string | undefined;
}
