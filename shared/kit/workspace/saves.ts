import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { root } from '../../repository/phases.ts';
import { CliError } from '../../terminal/cli-error.ts';
import { workspacePath } from './workspace.ts';

/** A dated copy of the workspace. */
export interface Save {
  /** '2026-11-23_08-57-01_phase-3' */
  name: string;
  /** Absolute path. */
  folder: string;
  /** Number of files in it, without dot files of the kit. */
  files: number;
}

/** Absolute path of the folder that holds the copies; git ignores it. */
export const savesPath = join(root, 'workspace-saves');

/** Copies the workspace under a dated name, without node_modules; undefined when there is nothing to copy. */
export function saveWorkspace(): Save | undefined {
  const from = workspacePath();
  for (const path of [from, savesPath]) {
    if (existsSync(path) && !statSync(path).isDirectory()) {
      throw new CliError(`${path} is a file, but must be a folder. Next: move it away, and try again.`);
    }
  }
  if (!existsSync(from) || readdirSync(from).length === 0) return undefined;
  const name = freeName(`${timestamp(new Date())}_phase-${markIn(from)}`);
  const folder = join(savesPath, name);
  mkdirSync(savesPath, { recursive: true });
  copyFolder(from, folder);
  return readSave(name);
}

/** The copies, oldest first. */
export function listSaves(): Save[] {
  if (!existsSync(savesPath)) return [];
  return readdirSync(savesPath, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .sort()
    .map(readSave);
}

/** The copy of that name; 'last' is the newest one. An unknown name throws a CliError with the list of copies. */
export function findSave(name: string): Save {
  const saves = listSaves();
  const save = name === 'last' ? saves.at(-1) : saves.find((each) => each.name === name);
  if (save) return save;
  const known = saves.map((each) => each.name).join(', ') || 'none yet';
  throw new CliError(`There is no copy "${name}". The copies are: ${known}.`);
}

/** Replaces the files of the workspace by those of a copy. */
export function restoreSave(save: Save): void {
  emptyWorkspace();
  copyFolder(save.folder, workspacePath());
}

/** Makes the workspace an empty folder. The folder itself is kept, because `verify --watch` may be watching it. */
export function emptyWorkspace(): void {
  const folder = workspacePath();
  mkdirSync(folder, { recursive: true });
  for (const name of readdirSync(folder)) rmSync(join(folder, name), { recursive: true, force: true });
}

function copyFolder(from: string, to: string): void {
  cpSync(from, to, { recursive: true, filter: (path) => basename(path) !== 'node_modules' });
}

function readSave(name: string): Save {
  const folder = join(savesPath, name);
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter(
    (entry) => entry.isFile() && !entry.name.startsWith('.'),
  );
  return { name, folder, files: files.length };
}

function markIn(folder: string): string {
  const mark = join(folder, '.phase');
  const text = existsSync(mark) ? readFileSync(mark, 'utf8').trim() : '';
  return /^\d+$/.test(text) ? text : 'unknown';
}

/** Local time, in characters that every file system takes. */
function timestamp(date: Date): string {
  const two = (value: number) => String(value).padStart(2, '0');
  const day = [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())].join('-');
  return `${day}_${[date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join('-')}`;
}

/** Two copies made in the same second need different names. */
function freeName(wanted: string): string {
  for (let n = 1; ; n++) {
    const name = n === 1 ? wanted : `${wanted}_${n}`;
    if (!existsSync(join(savesPath, name))) return name;
  }
}
