import { describe, expect, test } from 'vitest';
import { parseMetrics, parseSamples } from '../shared/metrics/prometheus-text.ts';

describe('the samples of a text', () => {
  test('are read line by line: names, labels, values', () => {
    const text = [
      '# HELP a_total Help.',
      '# TYPE a_total counter',
      'a_total 1',
      'b{x="1",y="two words"} 2.5e3 1700000000000',
      'c{} NaN',
      'd{le="+Inf"} +Inf',
      'e -Inf',
      '',
      'no sample',
      'f{x="1" 2',
      'g{x="1",x="2"} 3',
      'h 0x10',
    ].join('\n');
    expect(parseSamples(text)).toEqual([
      { name: 'a_total', labels: {}, value: 1 },
      { name: 'b', labels: { x: '1', y: 'two words' }, value: 2500 },
      { name: 'c', labels: {}, value: Number.NaN },
      { name: 'd', labels: { le: '+Inf' }, value: Number.POSITIVE_INFINITY },
      { name: 'e', labels: {}, value: Number.NEGATIVE_INFINITY },
    ]);
  });

  test.each([
    [
      'quotes, backslashes and line ends',
      'a{x="say \\"hi\\" to C:\\\\new\\nline"} 1',
      'say "hi" to C:\\new\nline',
    ],
    ['braces and commas', 'a{x="{route=\\"/a\\"}, b"} 1', '{route="/a"}, b'],
    ['nothing', 'a{x=""} 1', ''],
  ])('may have %s in a label', (_what, line, value) => {
    expect(parseSamples(line)).toEqual([{ name: 'a', labels: { x: value }, value: 1 }]);
  });

  test('stand before the exemplars of OpenMetrics', () => {
    const text = 'a_bucket{le="1"} 3 # {trace_id="x"} 0.5 1700000000\na_created 1.7e9\n# EOF\n';
    expect(parseSamples(text)).toEqual([
      { name: 'a_bucket', labels: { le: '1' }, value: 3 },
      { name: 'a_created', labels: {}, value: 1.7e9 },
    ]);
  });
});

describe('a scrape', () => {
  const head = '# HELP a Help.\n# TYPE a gauge\n';

  test('has samples, types, sums and series', () => {
    const metrics = parseMetrics(`${head}a{y="2",x="1"} 3\na{x="2"} +Inf\n`);
    expect(metrics.find('a', { x: '1' })).toEqual([{ labels: { x: '1', y: '2' }, value: 3 }]);
    expect(metrics.total('a', { y: '2' })).toBe(3);
    expect(metrics.series('a')).toEqual(['a{x="1",y="2"}', 'a{x="2"}']);
    expect(metrics.types).toEqual(new Map([['a', 'gauge']]));
  });

  test.each([
    ['no line feed at its end', `${head}a 1`, 'The last line has no line feed.'],
    ['a sample without HELP and TYPE', 'a 1\n', 'No HELP and TYPE above this line: a 1'],
    ['a second TYPE', `${head}# TYPE a gauge\n`, 'A second TYPE: # TYPE a gauge'],
    ['a series twice', `${head}a{x="1"} 1\na{x="1"} 2\n`, 'A repeated series: a{x="1"} 2'],
    ['a label twice', `${head}a{x="1",x="2"} 1\n`, 'Neither a sample nor a comment: a{x="1",x="2"} 1'],
    ['an escape that there is not', `${head}a{x="\\t"} 1\n`, 'Neither a sample nor a comment: a{x="\\t"} 1'],
    ['a word for a number', `${head}a one\n`, 'Neither a sample nor a comment: a one'],
    ['a time', `${head}a 1 1700000000000\n`, 'More than a name, labels, one space and a value'],
    ['two spaces', `${head}a  1\n`, 'More than a name, labels, one space and a value'],
  ])('is refused with %s', (_what, text, message) => {
    expect(() => parseMetrics(text)).toThrow(message);
  });

  test.each([
    ['fall', 'a_bucket{le="1"} 2\na_bucket{le="+Inf"} 1\n', 'A bucket is below the previous one'],
    [
      'contradict the count',
      'a_bucket{le="+Inf"} 1\na_count 2\n',
      'The last bucket is not equal to the count',
    ],
  ])('is refused with buckets that %s', (_what, samples, message) => {
    expect(() => parseMetrics(`# HELP a Help.\n# TYPE a histogram\n${samples}`)).toThrow(message);
  });

  test('of OpenMetrics ends with # EOF, and its counters with _total', () => {
    const text = '# HELP a Help.\n# TYPE a counter\na_total 1\n';
    expect(parseMetrics(`${text}# EOF\n`, 'openmetrics').total('a_total')).toBe(1);
    expect(() => parseMetrics(text, 'openmetrics')).toThrow('The last line is not # EOF.');
  });
});
