const LEVELS = { trace: 10, debug: 20, info: 30, warn: 40, error: 50, fatal: 60, silent: Infinity };

/** The words that LOG_LEVEL may be. */
export const logLevels = Object.keys(LEVELS);

/** A log that writes one JSON object per line to stdout, and nothing below its level. */
export function createLog(lowest) {
  process.stdout.on('error', () => {}); // a full disk costs the log, not the service
  const write = (level) => (fields, msg) => {
    if (LEVELS[level] < LEVELS[lowest]) return;
    // JSON escapes line ends and quotes: no path can forge a line.
    process.stdout.write(`${JSON.stringify({ level: LEVELS[level], time: Date.now(), ...fields, msg })}\n`);
  };
  return { info: write('info'), error: write('error') };
}
