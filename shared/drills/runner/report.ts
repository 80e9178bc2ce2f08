import { findPhase } from '../../repository/phases.ts';
import { colour } from '../../terminal/colour.ts';
import { toText } from '../../terminal/table.ts';
import { findMarked } from './code-mark.ts';
import type { Drill, DrillOutcome } from './definition.ts';

const columns = 100;
const indent = '  ';

/** One line for each drill. */
export function listDrills(drills: readonly Drill[]): string {
  const rows = drills.map(({ phase, name, about }) => [nameOf(phase), name, about]);
  return [
    'Drills: predict what happens, then run it.',
    toText(rows, Infinity),
    `Next: npm run drill -- ${drills[0]?.name}`,
  ].join('\n\n');
}

/** What the reader needs for a prediction. */
export function describeDrill({ name, about, phase, setUp, question, choices = {} }: Drill): string {
  const answers = Object.entries(choices).map(([letter, text]) => wrap(`${letter}) ${text}`, indent));
  return [
    `${colour.bold(`${name}: ${about}`)}\nPhase ${nameOf(phase)}`,
    setUp.map((sentence) => wrap(sentence)).join('\n'),
    [colour.bold(wrap(question)), ...answers, ''].join('\n'),
  ].join('\n\n');
}

/** The outcome compared with the prediction, the explanation, the lines of code that cause it, and what to do next. */
export function tellOutcome(drill: Drill, outcome: DrillOutcome, prediction: string | undefined): string {
  const code = drill.code.flatMap((mark) =>
    findMarked(drill.phase, mark).map(({ place, text }) => `${colour.cyan(place)}  ${mark.why}\n  ${text}`),
  );
  const sections: Array<[string, readonly string[]]> = [
    ['Outcome', [...outcome.measured, ...compare(drill, outcome, prediction)]],
    ['Why', [drill.explain]],
    ['The code', code],
    ['Next', drill.next],
  ];
  return sections
    .map(([title, paragraphs]) => `\n${colour.bold(title)}\n${paragraphs.map(indented).join('\n')}`)
    .join('\n');
}

function compare(drill: Drill, { answer }: DrillOutcome, prediction: string | undefined): string[] {
  const full = (key: string) => (drill.choices ? `${key}) ${drill.choices[key]}` : key);
  const lines =
    answer === drill.expected
      ? [`The answer: ${full(answer)}`]
      : [
          `This run shows ${answer === undefined ? 'none of the answers' : full(answer)}.`,
          `A run that nothing disturbs shows ${full(drill.expected)}.`,
          'The machine may have been too busy: run the drill again.',
        ];
  if (prediction === undefined) return lines;
  const verdict = prediction === answer ? colour.green('right') : colour.red('wrong');
  return [...lines, `Your prediction was ${prediction}: ${verdict}.`];
}

const nameOf = (phase: number) => findPhase(String(phase)).name;

/** Wraps prose. A text with line ends or columns is only indented. */
function indented(text: string): string {
  return /\n| {2}/.test(text) ? text.replaceAll(/^/gm, indent) : wrap(text, indent);
}

function wrap(text: string, margin = ''): string {
  const lines: string[] = [];
  let line = margin;
  for (const word of text.split(' ')) {
    if (line.length > margin.length && line.length + 1 + word.length > columns) {
      lines.push(line);
      line = margin;
    }
    line += line.length > margin.length ? ` ${word}` : word;
  }
  return [...lines, line].join('\n');
}
