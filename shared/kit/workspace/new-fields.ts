import { listFields } from '../../repository/config-fields.ts';

/** A config field that one phase has and the phase before does not have. */
export interface NewField {
  /** 'access' */
  name: string;
  /** 'routes[].access' */
  path: string;
  /** The names of the older fields in the same object. */
  siblings: string[];
}

/** The fields that `after` adds to `before`. A new section is listed without its inner fields. */
export function findNewFields(before: unknown, after: unknown): NewField[] {
  const known = listFields(before);
  const added = listFields(after).filter((path) => !known.includes(path));
  return added
    .filter((path) => !added.some((other) => path.startsWith(`${other}.`) || path.startsWith(`${other}[`)))
    .map((path) => {
      const [parent, name] = split(path);
      const siblings = known.map(split).flatMap(([folder, sibling]) => (folder === parent ? [sibling] : []));
      return { name, path, siblings };
    });
}

function split(path: string): [parent: string, name: string] {
  const end = path.lastIndexOf('.');
  return [path.slice(0, Math.max(0, end)), path.slice(end + 1)];
}
