import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { CliError } from '../../terminal/cli-error.ts';
import type { Drill } from './definition.ts';

/** Asks until the answer is one of the letters, or a number. Throws a CliError when the input ends first. */
export async function askPrediction(
  { choices }: Pick<Drill, 'choices'>,
  input: Readable,
  write: (text: string) => void,
): Promise<string> {
  const wanted = choices ? `${Object.keys(choices).join(', ')}` : 'a whole number';
  // Without `output`, readline does not set the terminal to raw mode, so Ctrl-C still sends SIGINT.
  const lines = createInterface({ input });
  try {
    write(`Your prediction (${wanted}): `);
    for await (const line of lines) {
      const word = line.trim().toLowerCase();
      if (choices ? Object.hasOwn(choices, word) : /^\d+$/.test(word)) return word;
      write(`"${line.trim()}" is not ${choices ? `one of ${wanted}` : wanted}. Your prediction: `);
    }
  } finally {
    lines.close();
    input.pause();
  }
  throw new CliError('\nThe input ended without a prediction. Add --yes to run the drill without one.');
}
