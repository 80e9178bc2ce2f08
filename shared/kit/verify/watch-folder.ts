import { watch } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

// An editor writes a file in several steps.
const settleMs = 200;
// The command itself writes TASK.md.
const notWatched = /(?:^|[/\\])(?:\.|node_modules)|^TASK\.md$/;

/** Watches a folder and its subfolders, without dot files and node_modules. */
export class FolderWatch {
  #changed = false;
  #notify = () => {};

  constructor(folder: string) {
    watch(folder, { recursive: true }, (_event, file) => {
      if (file && notWatched.test(file)) return;
      this.#changed = true;
      this.#notify();
    });
  }

  /** Resolves when a file has changed since the last call, and then no file changes for 200 ms. */
  async next(): Promise<void> {
    do {
      if (!this.#changed) {
        await new Promise<void>((resolve) => {
          this.#notify = resolve;
        });
      }
      this.#changed = false;
      await sleep(settleMs);
    } while (this.#changed);
  }
}
