import type { RootContent } from 'mdast';
import { parseMarkdown } from '../repository/markdown.ts';

/** A command of a recording and what it printed. */
export interface RecordedCommand {
  /** The lines above the command that begin with `# `. */
  comments: string[];
  command: string;
  output: string;
}

/** A fenced block marked `console`: commands with their output. */
export interface Recording {
  /** Index of the opening fence among the lines of the document. */
  begin: number;
  /** Index of the closing fence. */
  end: number;
  /** Number of the phase in the comment above the block; undefined when the commands need no gateway. */
  phase: string | undefined;
  /** True when the comment above the block asks for a copy of the repository to run the commands in. */
  inCopy: boolean;
  /** The SVG file that shows the block as a terminal, as a path from the root; undefined when there is none. */
  drawnAs: string | undefined;
  commands: RecordedCommand[];
}

const against = /^<!-- recorded against phase (\d+) -->$/;

const drawn = /^<!-- drawn as (\S+\.svg) -->$/;

const copied = '<!-- recorded in a copy of the repository -->';

/** The recordings of a Markdown text, from top to bottom. */
export function findRecordings(markdown: string): Recording[] {
  const blocks = parseMarkdown(markdown).children;
  return blocks.flatMap((block, index) => {
    if (block.type !== 'code' || block.lang !== 'console' || !block.position) return [];
    const above = commentsAbove(blocks, index);
    return [
      {
        begin: block.position.start.line - 1,
        end: block.position.end.line - 1,
        phase: firstMatch(against, above),
        inCopy: above.includes(copied),
        drawnAs: firstMatch(drawn, above),
        commands: splitCommands(block.value.split('\n')),
      },
    ];
  });
}

/** Writes recordings back into the Markdown text in which they were found. */
export function writeRecordings(markdown: string, recordings: Recording[]): string {
  const lines = markdown.split('\n');
  for (const { begin, end, commands } of recordings.toReversed()) {
    const entries = commands.map(({ comments, command, output }) =>
      [...comments, `$ ${command}`, ...(output ? [output] : [])].join('\n'),
    );
    lines.splice(begin + 1, end - begin - 1, ...(entries.length > 0 ? [entries.join('\n\n')] : []));
  }
  return lines.join('\n');
}

/** The lines of HTML directly above a block. */
function commentsAbove(blocks: RootContent[], index: number): string[] {
  const before = blocks[index - 1];
  if (before?.type !== 'html') return [];
  return [...commentsAbove(blocks, index - 1), ...before.value.split('\n')];
}

function firstMatch(pattern: RegExp, lines: string[]): string | undefined {
  return lines.map((line) => pattern.exec(line)?.[1]).find((found) => found !== undefined);
}

function splitCommands(lines: string[]): RecordedCommand[] {
  const entries: RecordedCommand[] = [];
  let pending: string[] = [];
  const close = () => {
    const last = entries.at(-1);
    const comments = last ? takeComments(pending) : pending;
    if (last) last.output = pending.join('\n').trimEnd();
    pending = [];
    return comments;
  };
  for (const line of lines) {
    if (line.startsWith('$ ')) entries.push({ comments: close(), command: line.slice(2).trim(), output: '' });
    else pending.push(line);
  }
  close();
  return entries;
}

/** Removes the comments of the next command from the end of `lines`, and returns them. */
function takeComments(lines: string[]): string[] {
  let first = lines.length;
  while (lines[first - 1]?.startsWith('# ')) first -= 1;
  return lines.splice(first);
}
