// traceparent carries the id of a trace from one service to the next. The gateway passes a well-formed one on
// unchanged, and makes a new one otherwise. tracestate belongs to it: it passes with its traceparent, and is
// dropped when it is malformed.

import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startObserved } from '../harness/admin.ts';
import { type Answer, send } from '../harness/client.ts';
import { configFor, type Gateway } from '../harness/gateway.ts';
import { type Seen, startUpstream, type Upstream } from '../harness/upstream.ts';
import { malformed, proper, traceId, wellFormed } from './traceparents.ts';

let gateway: Gateway;
let service: Upstream;

beforeAll(async () => {
  service = await startUpstream((request, response) => {
    request.on('end', () => response.end('ok'));
  });
  ({ gateway } = await startObserved(
    configFor(
      {
        services: { a: { url: service.url, timeoutMs: 10_000 } },
        routes: [{ prefix: '/a', service: 'a' }],
      },
      6,
    ),
  ));
});

beforeEach(() => {
  service.seen.length = 0;
});

/** The values of a header, one for each header line. */
function valuesOf(name: string, { rawHeaders }: Seen | Answer): string[] {
  return rawHeaders.filter((_, i) => i % 2 === 1 && rawHeaders[i - 1]?.toLowerCase() === name);
}

let paths = 0;
/** Sends one request through to the service; returns its answer, what the service saw, and its log line. */
async function pass(fields: string[] = []) {
  const path = `/a/${++paths}`;
  const answer = await send(gateway, path, { headers: fields });
  const [seen, ...others] = service.seen;
  expect(others).toEqual([]);
  const line = await gateway.waitForLog((entry) => entry.path === path);
  return { answer, seen: seen as Seen, line };
}

describe('the traceparent', () => {
  test.each(wellFormed)(
    'of the client is passed on unchanged when it is well-formed: %s',
    async (traceparent) => {
      const { answer, seen, line } = await pass([
        'traceparent',
        traceparent,
        'tracestate',
        'congo=t61rcWkgMzE',
      ]);
      expect(answer.status).toBe(200);
      expect(valuesOf('traceparent', seen)).toEqual([traceparent]);
      expect(valuesOf('tracestate', seen)).toEqual(['congo=t61rcWkgMzE']);
      expect(line.traceId).toBe(traceparent.split('-')[1]);
    },
  );

  test('is read in any spelling of the name, and without the white space around it', async () => {
    const { seen } = await pass(['TraceParent', ` \t${proper} `]);
    expect(valuesOf('traceparent', seen)).toEqual([proper]);
  });

  test.each(malformed)(
    'is dropped with its tracestate, and a new one made, for %s',
    async (_what, ...values) => {
      const fields = values.flatMap((value) => ['traceparent', value]);
      const { answer, seen, line } = await pass([...fields, 'tracestate', 'congo=t61rcWkgMzE']);
      expect(answer.status).toBe(200);
      expect(valuesOf('tracestate', seen)).toEqual([]);
      expect(line.traceId).not.toBe(traceId);
      expectNew(seen, line);
    },
  );

  test('is made when there is none, another one each time', async () => {
    const ids: unknown[] = [];
    for (let i = 0; i < 20; i++) {
      service.seen.length = 0;
      const { seen, line } = await pass();
      expectNew(seen, line);
      ids.push(line.traceId);
    }
    expect(new Set(ids).size).toBe(20);
  });

  test('reaches the service although Connection names the field', async () => {
    const { seen } = await pass(['Connection', 'close, traceparent', 'traceparent', proper]);
    expect(valuesOf('traceparent', seen)).toHaveLength(1);
  });

  /** Asserts that the service got one new traceparent, sampled, and that the log has its trace id. */
  function expectNew(seen: Seen, line: Record<string, unknown>): void {
    const [value = '', ...others] = valuesOf('traceparent', seen);
    expect(others).toEqual([]);
    const [, trace, parent] = /^00-([\da-f]{32})-([\da-f]{16})-01$/.exec(value) ?? [];
    expect(trace, value).toMatch(/[^0]/);
    expect(parent, value).toMatch(/[^0]/);
    expect(line.traceId).toBe(trace);
  }
});

describe('the tracestate', () => {
  const members = (count: number) => Array.from({ length: count }, (_, i) => `k${i}=${i}`).join(',');

  test.each([
    'congo=t61rcWkgMzE',
    'rojo=00f067aa0ba902b7,congo=t61rcWkgMzE',
    'fw529a3039@dt=FfAB',
    'a_-*/0=1',
    'a=!"#$%&\'()*+-./:;<>?@[]^`{|}~',
    'a=b c',
    'foo=1 ,\tbar=2',
    'foo=1,,bar=2',
    members(32),
    `${'k'.repeat(256)}=1`,
    `k=${'v'.repeat(256)}`,
  ])('of a proper traceparent is passed on unchanged when it is well-formed: %s', async (tracestate) => {
    const { seen, answer } = await pass(['traceparent', proper, 'tracestate', tracestate]);
    expect(answer.status).toBe(200);
    expect(valuesOf('traceparent', seen)).toEqual([proper]);
    expect(valuesOf('tracestate', seen)).toEqual([tracestate]);
  });

  test('may come in two fields, which are one list', async () => {
    const { seen } = await pass(['traceparent', proper, 'tracestate', 'a=1', 'Tracestate', 'b=2']);
    expect(valuesOf('tracestate', seen).join().replaceAll(' ', '')).toBe('a=1,b=2');
  });

  test.each<[what: string, ...values: string[]]>([
    ['a key alone', 'foo'],
    ['no key', '=1'],
    ['no value', 'foo='],
    ['two equals signs', 'foo=1=2'],
    ['a semicolon between', 'foo=1;bar=2'],
    ['a key in capitals', 'Foo=1'],
    ['a capital within the key', 'fOo=1'],
    ['a no-break space between', 'foo=1,\xa0bar=2'],
    ['a space before the equals sign', 'foo =1'],
    ['a space in the key', 'f oo=1'],
    ['a letter outside ASCII', 'foo=caf\xe9'],
    ['a tab in the value', 'foo=a\tb'],
    ['33 members', members(33)],
    ['33 members in two fields', members(32), 'z=1'],
    ['a key of 257 letters', `${'k'.repeat(257)}=1`],
    ['a value of 257 letters', `k=${'v'.repeat(257)}`],
    ['one member of many that is none', 'foo=1,bar,baz=3'],
  ])('is dropped, and its traceparent kept, for %s', async (_what, ...values) => {
    const fields = values.flatMap((value) => ['tracestate', value]);
    const { seen, answer, line } = await pass(['traceparent', proper, ...fields]);
    expect(answer.status).toBe(200);
    expect(valuesOf('traceparent', seen)).toEqual([proper]);
    expect(valuesOf('tracestate', seen)).toEqual([]);
    expect(line.traceId).toBe(traceId);
  });

  test('takes no longer for a long run of blanks than for letters', async () => {
    const timed = async (filling: string) => {
      service.seen.length = 0;
      const begin = performance.now();
      await pass(['traceparent', proper, 'tracestate', `a=${filling}b`]);
      return performance.now() - begin;
    };
    const times: Record<string, number[]> = { ' ': [], x: [] };
    for (let i = 0; i < 7; i++) {
      for (const letter of [' ', 'x']) times[letter]?.push(await timed(letter.repeat(15_000)));
    }
    const [blanks, letters] = Object.values(times).map((all) => Math.min(...all)) as [number, number];
    expect(blanks).toBeLessThan(letters + 60);
  });

  test('without a traceparent is dropped', async () => {
    const { seen } = await pass(['tracestate', 'congo=t61rcWkgMzE']);
    expect(valuesOf('tracestate', seen)).toEqual([]);
    expect(valuesOf('traceparent', seen)).toHaveLength(1);
  });
});
