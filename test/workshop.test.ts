import { expect, test } from 'vitest';
import { curlAvailable } from '../shared/recordings/command.ts';
import { listRecordedFiles, rerunFile } from '../shared/recordings/file.ts';
import { startDemoServices } from '../shared/upstreams/demo-services.ts';

const workshop = listRecordedFiles().filter((file) => file.endsWith('workshop.md'));

test.skipIf(!curlAvailable).each(workshop)(
  '%s shows what really happens',
  { timeout: 300_000 },
  async (file) => {
    const { differences } = await rerunFile(file, startDemoServices);
    expect(differences, 'Next: npm run docs, then read what it changed.').toEqual([]);
  },
);
