import { describe, expect, test } from 'vitest';
import { listSentences } from '../shared/kit/workspace/task-page.ts';
import { listPhases } from '../shared/repository/phases.ts';
import { listSteps } from '../shared/repository/steps.ts';

describe.each(listPhases())('the steps of suite $number', ({ number, name }) => {
  const steps = listSteps(number);

  test('are in the folder of their phase, and numbered without a gap', () => {
    expect(steps.length).toBeGreaterThan(1);
    expect(steps.map((step) => step.number)).toEqual(steps.map((_, i) => i + 1));
    for (const { file, title } of steps) {
      expect(file.startsWith(`${name}/`)).toBe(true);
      expect(title).toMatch(/^(?:Redis|(?!redis)[a-z\d]+)(?: (?:Redis|(?!redis)[a-z\d]+))*$/);
    }
  });

  test('begin with a comment of three sentences', () => {
    for (const { file, about } of steps) {
      expect(about, file).toMatch(/^\S.*\.$/);
      expect(about.split('. '), file).toHaveLength(3);
    }
  });
});

test('the page of a step names each group of sentences once, and not by a file', () => {
  const [step] = listSteps(1);
  const file = step?.file ?? '';
  const groups = [
    { file, name: '', tests: ['is alone'] },
    { file, name: 'with …', tests: ['starts'] },
    { file, name: 'with … > a gateway', tests: ['answers', 'ends'] },
    { file, name: 'a gateway', tests: ['stays'] },
  ];
  expect(step && listSentences(groups, step)).toEqual([
    `**${step?.title}**\n\n- is alone`,
    '**with …**\n\n- starts',
    '**a gateway**\n\n- answers\n- ends\n- stays',
  ]);
});
