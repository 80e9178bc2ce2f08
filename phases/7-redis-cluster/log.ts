import pino, { type Logger } from 'pino';

// Lines that the reader of stdout has not taken are kept up to this size, then dropped, so that they never fill the memory.
const MAX_BUFFERED_BYTES = 16 * 1024 * 1024;

// At the end of the process, a reader that has taken nothing for this long counts as stuck.
const STUCK_MS = 500;

// A slow reader gets the rest of the log within this time.
const FLUSH_MS = 3_000;

// sync: false, because a full pipe would block every request. Without minLength, flush() calls back before lines are written.
const stdout = pino.destination({ sync: false, minLength: 1, maxLength: MAX_BUFFERED_BYTES });
stdout.on('error', () => {}); // when the disk is full, lines are lost, and requests are still served

/** The log of the process: JSON lines on stdout. */
export function openLog(level: string): Logger {
  return pino({ level, base: null }, stdout);
}

/** Resolves when the log has been written, or its reader is stuck. The process must exit then: later lines are lost. */
export function closeLog(): Promise<void> {
  return new Promise((resolve) => {
    const close = () => {
      stdout.destroy(); // otherwise pino writes the rest at exit, in a loop that never ends while nothing is read
      resolve();
    };
    const stuck = setTimeout(close, STUCK_MS);
    stdout.on('write', () => stuck.refresh());
    setTimeout(close, FLUSH_MS);
    stdout.flush(close);
  });
}
