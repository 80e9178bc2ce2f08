import { CliError } from '../terminal/cli-error.ts';

/** A change of frozen phases: when and why, and the numbers of the phases that it changed. */
export interface Erratum {
  /** YYYY-MM-DD */
  date: string;
  phases: number[];
  text: string;
}

const head = `# Errata

What was changed in a phase after it was frozen, and why. The numbers at the start of an entry are those of the phases that it changed. \`npm run freeze\` writes this list.
`;

/** The entries of phases/ERRATA.md, in their order. Throws at a line that formatErrata() does not write. */
export function parseErrata(page: string): Erratum[] {
  const errata: Erratum[] = [];
  let date: string | undefined;
  const entries = page
    .split(/^(?=## )/m)
    .slice(1)
    .join('');
  for (const line of entries.split('\n')) {
    const heading = /^## (\d{4}-\d\d-\d\d)$/.exec(line);
    const [, phases, text] = /^- ([\d–, ]+): (.+)$/.exec(line) ?? [];
    if (heading) date = heading[1];
    else if (date && phases && text) errata.push({ date, phases: parsePhases(phases), text });
    else if (line !== '') {
      throw new CliError(`phases/ERRATA.md has a line that is neither a date nor an entry: ${line}`);
    }
  }
  return errata;
}

/** Adds a phase to the entry with this date and text, or adds that entry. */
export function addErratum(errata: Erratum[], date: string, phase: number, text: string): Erratum[] {
  const known = errata.find((erratum) => erratum.date === date && erratum.text === text);
  if (!known) return [...errata, { date, phases: [phase], text }];
  const phases = [...new Set([...known.phases, phase])].sort((a, b) => a - b);
  return errata.map((erratum) => (erratum === known ? { ...erratum, phases } : erratum));
}

/** The text of phases/ERRATA.md. */
export function formatErrata(errata: Erratum[]): string {
  const dates = [...new Set(errata.map(({ date }) => date))].sort();
  const days = dates.map((date) => {
    const entries = errata.filter((erratum) => erratum.date === date);
    return `\n## ${date}\n\n${entries.map(({ phases, text }) => `- ${formatPhases(phases)}: ${text}\n`).join('')}`;
  });
  return head + days.join('');
}

/** '1, 3–5' of 1, 3, 4, 5. */
function formatPhases(phases: number[]): string {
  const starts = phases.filter((phase) => !phases.includes(phase - 1));
  const ends = phases.filter((phase) => !phases.includes(phase + 1));
  return starts.map((start, i) => (start === ends[i] ? `${start}` : `${start}–${ends[i]}`)).join(', ');
}

function parsePhases(text: string): number[] {
  return text.split(', ').flatMap((range) => {
    const [start = 0, end = start] = range.split('–').map(Number);
    return Array.from({ length: end - start + 1 }, (_, i) => start + i);
  });
}
