import { describe, expect, test } from 'vitest';
import { listPhases } from '../shared/repository/phases.ts';
import { listSteps } from '../shared/repository/steps.ts';

describe.each(listPhases())('the steps of suite $number', ({ number, name }) => {
  const steps = listSteps(number);

  test('are in the folder of their phase, and numbered without a gap', () => {
    expect(steps.length).toBeGreaterThan(1);
    expect(steps.map((step) => step.number)).toEqual(steps.map((_, i) => i + 1));
    for (const { file, title } of steps) {
      expect(file.startsWith(`${name}/`)).toBe(true);
      expect(title).toMatch(/^[a-z\d]+( [a-z\d]+)*$/);
    }
  });

  test('begin with a comment of three sentences', () => {
    for (const { file, about } of steps) {
      expect(about, file).toMatch(/^\S.*\.$/);
      expect(about.split('. '), file).toHaveLength(3);
    }
  });
});
