// Loaded with --import into a gateway that is a phase. On SIGUSR2 it collects the garbage and writes what is left, in
// bytes, to a file. Otherwise the size of the heap depends on the time since the last collection.
import { renameSync, writeFileSync } from 'node:fs';

process.on('SIGUSR2', () => {
  const file = process.env.STORM_MEMORY_FILE as string;
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  writeFileSync(`${file}.part`, String(heapUsed + external));
  renameSync(`${file}.part`, file);
});
