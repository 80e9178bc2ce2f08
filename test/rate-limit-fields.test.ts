import { describe, expect, test } from 'vitest';
import type { Answer } from '../shared/contract/harness/client.ts';
import { policyOf, quotaOf } from '../shared/contract/harness/rate-limit-fields.ts';

/** An answer with these raw header lines. */
const answerWith = (...rawHeaders: string[]) => ({ rawHeaders }) as Partial<Answer> as Answer;

describe('the fields of a rate limit', () => {
  test.each(['"identified";r=9;t=60', '"identified"; t=60; r=9', '"identified";r=9;t=60;pk=:YQ==:'])(
    'are read as structured fields: %s',
    (value) => {
      const quota = { policy: 'identified', remaining: 9, seconds: 60 };
      expect(quotaOf(answerWith('RateLimit', value))).toEqual(quota);
    },
  );

  test('name a policy with its limit and its window', () => {
    const answer = answerWith('Date', 'x', 'RATELIMIT-POLICY', '"anonymous";q=5;w=2');
    expect(policyOf(answer)).toEqual({ policy: 'anonymous', limit: 5, windowSeconds: 2 });
  });

  test.each([
    ['a token', 'identified;r=9;t=60', 'ratelimit has a String'],
    ['two members', '"identified";r=9;t=60, "day";r=1;t=9', 'ratelimit has one member'],
    ['a missing parameter', '"identified";r=9', 'parameter t of ratelimit'],
    ['half a request', '"identified";r=9.5;t=60', 'parameter r of ratelimit'],
    ['less than none', '"identified";r=-1;t=60', 'parameter r of ratelimit'],
    ['nothing', '', 'ratelimit has a String'],
    ['another syntax', 'limit=10, remaining=9, reset', 'ratelimit is no List of RFC 9651'],
  ])('are wrong with %s', (_what, value, message) => {
    expect(() => quotaOf(answerWith('ratelimit', value))).toThrow(message);
  });

  test('are wrong when they come twice', () => {
    const line = ['ratelimit', '"identified";r=9;t=60'];
    expect(() => quotaOf(answerWith(...line, ...line))).toThrow('ratelimit in');
  });
});
