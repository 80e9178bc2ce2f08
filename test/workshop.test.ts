import { expect, test } from 'vitest';
import { curlAvailable } from '../shared/cli/record-command.ts';
import { listRecordedFiles, rerunFile } from '../shared/cli/record-file.ts';

const workshop = listRecordedFiles().filter((file) => file.endsWith('workshop.md'));

test.skipIf(!curlAvailable).each(workshop)(
  '%s shows what really happens',
  { timeout: 300_000 },
  async (file) => {
    const { differences } = await rerunFile(file);
    expect(differences, 'Next: npm run docs, then read what it changed.').toEqual([]);
  },
);
