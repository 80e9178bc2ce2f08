import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { closeField, type Field, prepareField } from './any-bytes/field.ts';
import { sendIdleBytes } from './any-bytes/idle-bytes.ts';
import { runCases, shrinkCase } from './any-bytes/run.ts';

// Random requests and answers, good and bad, in random pieces, on many connections at the same time. npm run fuzz sends them
// for longer, and repeats a case.
const cases = readNumber('ANY_BYTES_CASES', 1_000);
const minutes = readNumber('ANY_BYTES_MINUTES', 0);
const seed = readNumber('ANY_BYTES_SEED', 1);
const only = readNumber('ANY_BYTES_ONLY', -1);

let field: Field;

beforeAll(async () => {
  field = await prepareField();
});

afterAll(() => closeField(field));

describe('any bytes', () => {
  test('of clients and services: every request gets its own answer or a refusal, and nothing else is executed', {
    timeout: (minutes + 5) * 60_000,
  }, async () => {
    const end = Date.now() + minutes * 60_000;
    const isEnough = (sequences: number) => {
      if (only >= 0) return sequences > 0;
      return minutes > 0 ? Date.now() > end : sequences >= cases;
    };
    const { failed, ...sent } = await runCases(field, { seed, first: Math.max(only, 0), isEnough });
    if (minutes > 0) console.log(`${sent.sequences} byte sequences with ${sent.requests} requests`);
    if (failed) throw await explain(failed);
    expectNoErrors();
  });

  // Needs /proc of Linux.
  test.skipIf(process.platform !== 'linux')(
    'of a service on an idle connection answer no request, whatever they are',
    { timeout: 120_000 },
    async () => {
      await sendIdleBytes(field, { seed, rounds: 5, tries: 15 });
      expectNoErrors();
    },
  );
});

/** The log has only errors of the gateway, because its level is `error`. */
function expectNoErrors(): void {
  expect(field.gateway.stdout() + field.gateway.stderr()).toBe('');
}

/** The smallest case that fails like this one, and the command that repeats it. */
async function explain({ number, error }: { number: number; error: Error }): Promise<Error> {
  const smallest = await shrinkCase(field, seed, number);
  const remark = smallest
    ? `This is the smallest case that fails, made from case ${number}.`
    : `Case ${number} failed once, at the same time as others. Alone it did not fail.`;
  const repeat = `To send case ${number} again: npm run fuzz -- --seed ${seed} --case ${number}`;
  return new Error(`${remark} ${repeat}\n${(smallest ?? error).message}`);
}

function readNumber(name: string, fallback: number): number {
  const text = process.env[name];
  return text ? Number(text) : fallback;
}
