import { existsSync, readdirSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import type { StartServices } from '../repository/demo-ports.ts';
import { readText } from '../repository/phase-files.ts';
import { findPhaseFolder, root } from '../repository/phases.ts';
import { CliError } from '../terminal/cli-error.ts';
import { agree } from './agreement.ts';
import { findRecordings, type Recording, writeRecordings } from './blocks.ts';
import { runDocumented } from './command.ts';
import { foreignFolders, withCopy } from './copy.ts';
import { type Ports, withGateway } from './gateway.ts';
import { drawTerminal } from './svg.ts';

const noGateway: Ports = new Map();

/** A command whose output is not what the document shows. */
export interface Difference {
  command: string;
  shown: string;
  real: string;
}

/** An SVG file, as a path from the root of the repository, and what it must hold to show its recording. */
export interface Drawing {
  file: string;
  svg: string;
}

/** The result of running the recordings of a document again. */
export interface Rerun {
  commands: number;
  differences: Difference[];
  /** The document with the real output where it differs. */
  text: string;
  /** The drawings of the recordings whose files hold something else. */
  staleDrawings: Drawing[];
}

/** The Markdown files of the repository that hold recordings, as paths from its root with `/`. */
export function listRecordedFiles(folder = root): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .filter(({ name }) => !foreignFolders.includes(name))
    .flatMap((entry) => {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) return listRecordedFiles(path);
      if (!entry.name.endsWith('.md') || findRecordings(readText(path)).length === 0) return [];
      return [relative(root, path).split(sep).join('/')];
    });
}

/** Runs the recordings of a Markdown file again, block by block. A CliError names the file and the line of the block. */
export async function rerunFile(file: string, startServices: StartServices): Promise<Rerun> {
  const markdown = readText(join(root, file));
  const recordings = findRecordings(markdown);
  const differences: Difference[] = [];
  for (const recording of recordings) {
    try {
      differences.push(...(await rerun(recording, startServices)));
    } catch (error) {
      if (error instanceof CliError) throw new CliError(`${file}:${recording.begin + 1}: ${error.message}`);
      throw error;
    }
  }
  const commands = recordings.reduce((sum, recording) => sum + recording.commands.length, 0);
  const staleDrawings = findStaleDrawings(recordings);
  return { commands, differences, text: writeRecordings(markdown, recordings), staleDrawings };
}

/** The drawings of these recordings whose files do not exist, or show something else. */
export function findStaleDrawings(recordings: readonly Recording[]): Drawing[] {
  return recordings.flatMap(({ drawnAs, commands }) => {
    if (drawnAs === undefined) return [];
    const path = join(root, drawnAs);
    const svg = drawTerminal(commands);
    return existsSync(path) && readText(path) === svg ? [] : [{ file: drawnAs, svg }];
  });
}

/** Writes the real output into the recording where it differs, and returns the differences. */
async function rerun(
  { phase, inCopy, commands }: Recording,
  startServices: StartServices,
): Promise<Difference[]> {
  const runAll = async (ports: Ports, run = runDocumented) => {
    const differences: Difference[] = [];
    for (const recorded of commands) {
      const { command, output: shown } = recorded;
      const real = await run(command, ports);
      if (agree(shown, real)) continue;
      differences.push({ command, shown, real });
      recorded.output = real;
    }
    return differences;
  };
  if (phase !== undefined) return withGateway(findPhaseFolder(phase), startServices, runAll);
  if (commands.some(({ command }) => command.startsWith('curl '))) {
    throw new CliError('Name the phase that curl calls above the block: <!-- recorded against phase 1 -->');
  }
  return inCopy ? withCopy((run) => runAll(noGateway, run)) : runAll(noGateway);
}
