/** The paths of all fields of a config, such as `routes[].prefix`. A service has `*` for its name: `services.*.url`. */
export function listFields(value: unknown, path = ''): string[] {
  if (Array.isArray(value)) return unique(value.flatMap((item) => listFields(item, `${path}[]`)));
  if (typeof value !== 'object' || value === null) return [];
  return unique(
    Object.entries(value).flatMap(([key, inner]) => {
      const field = path === '' ? key : `${path}.${path === 'services' ? '*' : key}`;
      return [field, ...listFields(inner, field)];
    }),
  );
}

/** The words in `code` that look like the path of a config field: a section with at least one more part. */
export function findFieldPaths(code: string[], fields: string[]): string[] {
  const sections = fields.filter((field) => /^\w+$/.test(field));
  const path = new RegExp(`^(?:${sections.join('|')})(?:\\[\\d*\\]|\\.(?:[\\w*-]+|<\\w+>))+$`);
  return code.filter((word) => path.test(word));
}

/** Whether a path such as `services.orders.url` or `routes[0].prefix` is a field. */
export function isField(path: string, fields: string[]): boolean {
  const general = path.replaceAll(/\[\d+\]/g, '[]').replace(/^services\.[^.]+/, 'services.*');
  return fields.includes(general) || fields.includes(general.replace(/\[\]$/, ''));
}

const unique = (values: string[]) => [...new Set(values)];
