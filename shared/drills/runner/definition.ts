import type { CodeMark } from './code-mark.ts';
import type { Scene } from './scene.ts';

/** One experiment. The reader predicts the outcome; real processes and requests show it. */
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
  /** The outcome on a machine that is not too busy, a letter or a number. `explain` gives the reason. */
  readonly expected: string;
  run(scene: Scene): Promise<DrillOutcome>;
  readonly explain: string;
  /** The lines of code that cause the outcome. */
  readonly code: readonly CodeMark[];
  /** Commands to run, files to read. */
  readonly next: readonly string[];
}

/** What a run has shown. */
export interface DrillOutcome {
  /** The letter or number that fits the measurements; undefined when none does. */
  readonly answer: string | undefined;
  /** What was measured, a sentence each. */
  readonly measured: readonly string[];
}
