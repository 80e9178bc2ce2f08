// What differs from run to run and from machine to machine: new keys and their digests, points in time, durations,
// curl's version and its wording of an error.
const volatile =
  /gw_[\w-]{43}|\b[\da-f]{64}\b|\b\d{4}-\d\d-\d\dT[\d:.]+Z|(?<="durationMs":)[\d.]+| *\b\d+ ms\b|(?<="time":)\d+|\b\d+\.\d{6}\b|(?<=curl\/)[\d.]+|(?<=^curl: \(\d+\) ).*$/gm;

// Seconds that count down while the commands run.
const countdown = /(?<=^retry-after: )\d+|(?<=^ratelimit: .*;t=)\d+/gim;
const toleranceSeconds = 5;

/**
 * Whether two outputs of a command say the same. Keys, digests, times, durations and what curl says of itself are
 * ignored; the seconds of Retry-After and RateLimit may differ by 5.
 */
export function agree(before: string, after: string): boolean {
  if (settle(before) !== settle(after)) return false;
  const then = secondsIn(before);
  const now = secondsIn(after);
  return then.every((seconds, index) => Math.abs(seconds - (now[index] ?? Infinity)) <= toleranceSeconds);
}

const settle = (text: string) => text.replaceAll(volatile, '…').replaceAll(countdown, '…');

const secondsIn = (text: string) => [...text.matchAll(countdown)].map(([digits]) => Number(digits));
