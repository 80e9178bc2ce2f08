import * as z from 'zod';

/** One record of a service. Ids begin with 1. */
export interface Row {
  id: number;
  [field: string]: unknown;
}

/** A list of rows at a path of its own ('/' or '/warehouses'); without `create` it is read-only. */
export interface Resource {
  path: string;
  rows: Row[];
  /** Makes the fields of a new row from the request body. Throws a ZodError for bad fields. */
  create?: (input: unknown) => object;
}

/** What a service answers; the body is sent as JSON. */
export interface ResourceAnswer {
  status: number;
  body?: unknown;
  headers?: Record<string, string>;
}

/** Lists the rows of the resource at this path, reads one of them or creates one. Answers 404 or 405 otherwise. */
export async function answerFrom(
  resources: Resource[],
  method: string,
  path: string,
  readBody: () => Promise<string>,
): Promise<ResourceAnswer> {
  for (const resource of resources) {
    if (path === resource.path) return answerList(resource, method, readBody);
    const base = resource.path === '/' ? '/' : `${resource.path}/`;
    const id = path.startsWith(base) ? path.slice(base.length) : '';
    if (/^\d+$/.test(id)) return answerOne(resource, method, Number(id));
  }
  const known = resources.map((resource) => resource.path).join(', ');
  return { status: 404, body: { error: `nothing at ${path}; there is ${known}, /echo and /events` } };
}

async function answerList(
  { rows, create }: Resource,
  method: string,
  readBody: () => Promise<string>,
): Promise<ResourceAnswer> {
  if (method === 'GET' || method === 'HEAD') return { status: 200, body: { items: rows } };
  if (method !== 'POST' || !create) return notAllowed(create ? 'GET, HEAD, POST' : 'GET, HEAD');
  const input = parseJson(await readBody());
  if (input === undefined) return { status: 400, body: { error: 'the body is not JSON' } };
  try {
    const row = { id: rows.length + 1, ...create(input) };
    rows.push(row);
    return { status: 201, body: row };
  } catch (error) {
    if (!(error instanceof z.ZodError)) throw error;
    const fields = error.issues.map(({ path, message }) => ({ field: path.join('.'), problem: message }));
    return { status: 422, body: { error: 'some fields are not valid', fields } };
  }
}

function answerOne({ rows }: Resource, method: string, id: number): ResourceAnswer {
  if (method !== 'GET' && method !== 'HEAD') return notAllowed('GET, HEAD');
  const row = rows.find((candidate) => candidate.id === id);
  return row
    ? { status: 200, body: row }
    : { status: 404, body: { error: `there is no row with the id ${id}` } };
}

/** 405 with the methods that are allowed. */
export function notAllowed(allow: string): ResourceAnswer {
  return { status: 405, headers: { allow }, body: { error: `only ${allow} here` } };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
