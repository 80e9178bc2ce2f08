const LEVELS = { trace: 10, debug: 20, info: 30, warn: 40, error: 50, fatal: 60, silent: Infinity };

/** The values of LOG_LEVEL. */
export const logLevels = Object.keys(LEVELS);

/** A log that writes one JSON object per line to stdout, and nothing below its level. */
export function createLog(lowest) {
  process.stdout.on('error', () => {}); // a full disk loses log lines, but no requests
  const write = (level) => (fields, msg) => {
    if (LEVELS[level] < LEVELS[lowest]) return;
    // JSON escapes line ends and quotes, so a path cannot forge a log line.
    process.stdout.write(`${JSON.stringify({ level: LEVELS[level], time: Date.now(), ...fields, msg })}\n`);
  };
  return { info: write('info'), error: write('error') };
}
