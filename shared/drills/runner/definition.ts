import type { CodeMark } from './code-mark.ts';
import type { Scene } from './scene.ts';

/** One experiment: the reader predicts, real processes and traffic decide. */
export interface Drill {
  readonly name: string;
  /** The number of the phase it belongs to. */
  readonly phase: number;
  /** One line for the list of drills. */
  readonly about: string;
  readonly needsRedis?: boolean;
  /** Three sentences. */
  readonly setUp: readonly [string, string, string];
  readonly question: string;
  /** The answers to choose from, by letter. Without them the answer is a number. */
  readonly choices?: Readonly<Record<string, string>>;
  /** What comes out unless the machine is too busy; `explain` tells why. A letter or a number. */
  readonly expected: string;
  run(scene: Scene): Promise<Outcome>;
  readonly explain: string;
  /** The lines of code that bring it about. */
  readonly code: readonly CodeMark[];
  /** Commands to run, files to read. */
  readonly next: readonly string[];
}

/** What a run has shown. */
export interface Outcome {
  /** The letter or number that the measurements come to; undefined when they fit no choice. */
  readonly answer: string | undefined;
  /** What was measured, a sentence each. */
  readonly measured: readonly string[];
}
