// Parts of an output that differ between runs or machines.
const volatile = new RegExp(
  [
    /gw_[\w-]{43}/, // a new key,
    /\b[\da-f]{64}\b/, // and its digest
    /(?<=^trace )[\da-f]{32}\b/, // a new trace id,
    /[ =]*(?:\bat )?\b\d+\.\d ms\b/, // and the bars and times of its spans
    /\b\d{4}-\d\d-\d\d(?:T[\d:.]+Z|_[\d-]{8})/, // dates and times
    /(?<="time":)\d+/,
    /(?<="durationMs":)[\d.]+| *\b\d+ ms\b|(?<=\bin )\d+ s\b|\b\d+\.\d{6}\b/, // durations
    /(?<=127\.0\.0\.1:)\d{5}\b/, // ports chosen by the system
    /(?<=phased-gateway-)[\da-f]{8}\b/, // the name of a gateway in Via
    /(?<=curl\/)[\d.]+/, // curl's version,
    /(?<=^curl: \(\d+\) ).*$/, // and its wording of an error
  ]
    .map(({ source }) => source)
    .join('|'),
  'gm',
);

// Seconds that count down while the commands run.
const countdown = /(?<=^retry-after: )\d+|(?<=^ratelimit: .*;t=)\d+/gim;
const toleranceSeconds = 5;

/**
 * True when two outputs of a command agree. Keys, digests, trace ids, times, durations, ports chosen by the system, and curl's
 * version and error texts are ignored. The seconds of Retry-After and RateLimit may differ by 5.
 */
export function agree(before: string, after: string): boolean {
  if (maskVolatile(before) !== maskVolatile(after)) return false;
  const then = secondsIn(before);
  const now = secondsIn(after);
  return then.every((seconds, index) => Math.abs(seconds - (now[index] ?? Infinity)) <= toleranceSeconds);
}

const maskVolatile = (text: string) => text.replaceAll(volatile, '…').replaceAll(countdown, '…');

const secondsIn = (text: string) => [...text.matchAll(countdown)].map(([digits]) => Number(digits));
