import { createHash } from 'node:crypto';

/** An object of git: type, content, and the id, which is a hash of both. */
export interface GitObject {
  type: 'blob' | 'tree' | 'commit' | 'tag';
  content: Buffer;
  /** 40 hex digits. */
  id: string;
}

/** The author, committer or tagger of an object, with the time. */
export interface Signature {
  name: string;
  email: string;
  /** Seconds since 1970, in UTC. */
  seconds: number;
}

/** The content of a file. */
export function makeBlob(text: string): GitObject {
  return makeObject('blob', Buffer.from(text));
}

/** A folder of plain files, by name. */
export function makeTree(blobs: Map<string, GitObject>): GitObject {
  // git sorts entries by bytes, and folders as if their names ended in a slash. Here there are no folders.
  const entries = [...blobs].sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  const parts = entries.flatMap(([name, { id }]) => [
    Buffer.from(`100644 ${name}\0`),
    Buffer.from(id, 'hex'),
  ]);
  return makeObject('tree', Buffer.concat(parts));
}

/** A commit with one author, who is also the committer. It follows `parent` if there is one. */
export function makeCommit(
  tree: GitObject,
  parent: GitObject | undefined,
  by: Signature,
  message: string,
): GitObject {
  const head = [
    `tree ${tree.id}`,
    ...(parent ? [`parent ${parent.id}`] : []),
    `author ${sign(by)}`,
    `committer ${sign(by)}`,
  ];
  return makeObject('commit', Buffer.from(`${head.join('\n')}\n\n${message}\n`));
}

/** An annotated tag of a commit. */
export function makeTag(name: string, commit: GitObject, by: Signature, message: string): GitObject {
  const head = [`object ${commit.id}`, 'type commit', `tag ${name}`, `tagger ${sign(by)}`];
  return makeObject('tag', Buffer.from(`${head.join('\n')}\n\n${message}\n`));
}

function sign({ name, email, seconds }: Signature): string {
  return `${name} <${email}> ${seconds} +0000`;
}

function makeObject(type: GitObject['type'], content: Buffer): GitObject {
  const id = createHash('sha1').update(`${type} ${content.length}\0`).update(content).digest('hex');
  return { type, content, id };
}
