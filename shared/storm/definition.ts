import type { Lateness } from '../process/lateness.ts';
import type { StormSubject } from './gateway.ts';

/** One figure of a storm: what must hold, what was measured, and whether it holds. */
export interface Figure {
  name: string;
  /** In words, such as `≤ 200 ms`. Empty when the figure is only shown. */
  must: string;
  measured: string;
  /** Null: the figure is only shown. */
  holds: boolean | null;
  /**
   * A figure that depends on time. It is not judged when the load process was often late, or once by more than `onceMs`:
   * meanwhile, or else in the whole storm.
   */
  timed?: { onceMs: number; meanwhile?: Lateness };
}

/** What a storm has measured. */
export interface Outcome {
  figures: Figure[];
  /** The lateness of the process that measured the latencies, if that is not the storm process. */
  lateness?: Lateness;
  /** Sentences for the document, such as the reason for each lost request. */
  notes?: string[];
}

/** What a storm gets. */
export interface StormSurroundings {
  subject: StormSubject;
  quick: boolean;
  /** Shows what is being done. */
  say(what: string): void;
}

/** One storm. */
export interface Storm {
  name: string;
  title: string;
  /** What is done, for the document. */
  done: string;
  /** What must hold and why, for the document. */
  owed: string;
  /** The reason that it cannot run here, or undefined. */
  lacks(around: StormSurroundings): string | undefined;
  run(around: StormSurroundings): Promise<Outcome>;
}

/** The result of one storm in a run. */
export interface Result {
  name: string;
  figures: Figure[];
  lateness: Lateness | null;
  notes: string[];
  seconds: number;
  /** The reason that the storm was not run. */
  notRun?: string;
}

/** One run of the command: what --json writes and --from reads. */
export interface StormRun {
  date: string;
  quick: boolean;
  /** The gateway, in words. */
  gateway: string;
  machine: Record<string, string>;
  results: Result[];
}
