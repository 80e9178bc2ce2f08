/**
 * What the checks of a phase that are functions say in JSON Schema. z.toJSONSchema() leaves such checks out. The two
 * patterns are wider than the checks: they find a missing scheme and a host name.
 */
export const extraKeywords: Readonly<Record<string, object>> = {
  'services.<name>.url': { pattern: '^[\\u0000-\\u0020]*[hH][tT][tT][pP][sS]?:' },
  'routes[].prefix': { not: { const: '/health' } },
  'clients[].id': { not: { const: 'anonymous' } },
  'trustedProxies[]': { pattern: '^[\\da-fA-F:.]+(?:/[1-9]\\d*)?$' },
};

/** A rule that a phase checks and a JSON Schema cannot express. */
export interface UnsaidRule {
  rule: string;
  reason: string;
  /** The first phase that has the rule. */
  phase: number;
  /** What the phase says about a config that breaks it. */
  message: RegExp;
}

/** Every rule of the phases that their JSON Schemas leave out. */
export const unsaidRules: readonly UnsaidRule[] = [
  {
    rule: 'no key occurs twice in one object',
    reason: 'A validator sees the parsed file, which has one of the two.',
    phase: 1,
    message: /: is set (?:twice|\d+ times), on lines /,
  },
  {
    rule: 'the service of a route is a key of services',
    reason: 'No keyword compares a value with a key elsewhere.',
    phase: 1,
    message: /: no service is called /,
  },
  {
    rule: 'no two routes have the same prefix',
    reason: 'uniqueItems compares whole items, not one field of them.',
    phase: 1,
    message: /: routes\[\d+\] has the prefix /,
  },
  {
    rule: 'the url of a service is a URL without user name, query or fragment',
    reason: 'Its pattern asks only for http: or https:. The URL Standard is not a regular expression.',
    phase: 1,
    message: /: must be an http:\/\/ or https:\/\/ URL without /,
  },
  {
    rule: 'no two clients have the same id',
    reason: 'uniqueItems compares whole items, not one field of them.',
    phase: 2,
    message: /: clients\[\d+\] has the id /,
  },
  {
    rule: 'no digest occurs twice in the file',
    reason: 'No keyword compares the items of two lists.',
    phase: 2,
    message: /: is also clients\[\d+\]\.keySha256\[\d+\]$/,
  },
  {
    rule: 'a trusted proxy is an IP address or a network that does not contain all addresses',
    reason: 'Its pattern asks only for the characters. A length such as /33 is too long for IPv4 only.',
    phase: 3,
    message: /: must be an IP address or a network such as /,
  },
];
