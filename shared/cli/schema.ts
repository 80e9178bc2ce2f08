import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { schemaPath, writeSchema } from '../config/json-schema.ts';
import { readText } from '../repository/phase-files.ts';
import { listPhases, root } from '../repository/phases.ts';
import { readArguments } from '../terminal/arguments.ts';
import { CliError, runCommand } from '../terminal/cli-error.ts';
import { refuseWords } from '../terminal/option-values.ts';

const usage = `npm run schema -- [options]

Writes a JSON Schema for the gateway.json of each phase from 1 on to docs/schema, for editors. The rules come from the
code of the phase, the descriptions from docs/config.md.
  --check   write nothing; exit code 1 when a file is not as this command would write it
  --help    this text`;

await runCommand(async () => {
  const { values, positionals } = readArguments(usage, {
    check: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h' },
  });
  if (values.help) return console.log(usage);
  refuseWords(usage, positionals);
  const stale: string[] = [];
  for (const phase of listPhases()) {
    const path = schemaPath(phase);
    const text = await writeSchema(phase);
    const file = join(root, path);
    const isFresh = existsSync(file) && readText(file) === text;
    if (!isFresh) stale.push(path);
    if (!isFresh && !values.check) {
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, text);
    }
    console.log(`${path}: ${isFresh ? 'as it is' : values.check ? 'not as it would be written' : 'written'}`);
  }
  if (!values.check) return console.log('Next: npm run check-config -- FILE checks a config.');
  if (stale.length > 0) throw new CliError('Next: npm run schema, then read what it changed.');
});
