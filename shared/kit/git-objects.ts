import { createHash } from 'node:crypto';

/** What git stores: a kind, the bytes, and the id that both together have in every repository. */
export interface GitObject {
  type: 'blob' | 'tree' | 'commit' | 'tag';
  content: Buffer;
  /** 40 hex digits. */
  id: string;
}

/** Who did something in git, and when. */
export interface Signature {
  name: string;
  email: string;
  /** Seconds since 1970, in UTC. */
  seconds: number;
}

/** A file's content. */
export function makeBlob(text: string): GitObject {
  return makeObject('blob', Buffer.from(text));
}

/** A folder of plain files, by name. */
export function makeTree(blobs: Map<string, GitObject>): GitObject {
  // Sorted by bytes; a folder in it would be sorted as if its name ended in a slash, but there is none.
  const entries = [...blobs].sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  const parts = entries.flatMap(([name, { id }]) => [
    Buffer.from(`100644 ${name}\0`),
    Buffer.from(id, 'hex'),
  ]);
  return makeObject('tree', Buffer.concat(parts));
}

/** A commit by one who is author and committer, after `parent` if there is one. */
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
