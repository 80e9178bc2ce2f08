import { createHash, randomBytes } from 'node:crypto';
import { readArguments } from '../terminal/arguments.ts';
import { CliError, runCommand } from '../terminal/cli-error.ts';
import { refuseWords } from '../terminal/option-values.ts';

const usage = `npm run key -- NAME

Makes a new API key for the client NAME and prints the config entry for it.
NAME: 1 to 64 letters, digits, dots, dashes or underscores; "anonymous" is reserved for callers without a key.
  --help   this text`;

await runCommand(() => {
  const { values, positionals } = readArguments(usage, { help: { type: 'boolean', short: 'h' } });
  if (values.help) return console.log(usage);
  const [name, ...extra] = positionals;
  if (name === undefined) throw new CliError(`Name the client.\n\n${usage}`);
  refuseWords(usage, extra);
  if (!/^[\w.-]{1,64}$/.test(name) || name === 'anonymous')
    throw new CliError(`"${name}" is not a valid client name.\n\n${usage}`);

  const key = `gw_${randomBytes(32).toString('base64url')}`;
  const digest = createHash('sha256').update(key).digest('hex');
  console.log(`A new key for ${name}. It is shown only once; the config holds only its SHA-256.

  key      ${key}
  SHA-256  ${digest}

1. Copy the gateway.json of phase 2 or later (the phases are frozen), and add this to "clients" in the copy:

  { "id": "${name}", "keySha256": ["${digest}"] }

   If ${name} is there already, add only the digest to its keySha256. Both keys work until you remove one.
2. Start the gateway with the copy: npm start -- --config FILE
3. Give the key to the client, which sends it as X-API-Key:

  curl -H "X-API-Key: ${key}" http://127.0.0.1:3000/api/orders`);
});
