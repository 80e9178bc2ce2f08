import { readFileSync } from 'node:fs';
import * as z from 'zod';
import { circuitBreakerSchema } from './circuit-breaker.ts';
import { servicesSchema } from './forward.ts';
import { clientsSchema } from './identify.ts';
import { rateLimitSchema, trustedProxiesSchema } from './rate-limit.ts';
import { routesSchema } from './route.ts';

const configSchema = z
  .strictObject({
    services: servicesSchema,
    routes: routesSchema,
    clients: clientsSchema,
    trustedProxies: trustedProxiesSchema,
    rateLimit: rateLimitSchema,
    circuitBreaker: circuitBreakerSchema,
    serverTiming: z.boolean(),
  })
  .superRefine(
    ({ services, routes }, context) => {
      for (const [i, route] of routes.entries()) {
        if (typeof route?.service !== 'string' || Object.hasOwn(services ?? {}, route.service)) continue;
        const message = `no service is called ${JSON.stringify(route.service)}`;
        context.addIssue({ code: 'custom', path: ['routes', i, 'service'], message });
      }
    },
    // Also when single fields are wrong, so that one message lists everything.
    { when: ({ value }) => Array.isArray((value as Config | null)?.routes) },
  );

/** The content of gateway.json. Every field is required, unknown ones are refused. */
export type Config = z.infer<typeof configSchema>;

const environmentSchema = z.object({
  PORT: z.coerce.number('must be a port number').int().min(0).max(65535).default(3000),
  HOST: z.string().default('127.0.0.1'),
  ADMIN_PORT: z.coerce.number('must be a port number').int().min(0).max(65535).default(9464),
  ADMIN_HOST: z.string().default('127.0.0.1'),
  GATEWAY_CONFIG: z.string().optional(),
  REDIS_URL: z
    .url({ protocol: /^rediss?$/, error: 'must be a redis:// or rediss:// URL', abort: true })
    .regex(/^\w+:\/\/[^/?#]*(\/\d*)?$/, 'must end with the host, or with the number of a database')
    .optional(),
  LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'),
});

/** What the process is told by its environment variables. */
export type Environment = z.infer<typeof environmentSchema>;

/** The gateway cannot start as it is told to. The message lists every reason, for the operator. */
export class StartError extends Error {}

/** Reads the environment variables; empty ones count as unset. Throws a StartError. */
export function readEnvironment(variables: NodeJS.ProcessEnv): Environment {
  const set = Object.entries(variables).filter(([, value]) => value !== '');
  return check(environmentSchema, Object.fromEntries(set), 'The environment is not usable');
}

/** Reads and checks a config file. Throws a StartError. */
export function readConfig(file: string): Config {
  let content: unknown;
  try {
    content = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new StartError(`Cannot read the config ${file}: ${(error as Error).message}`);
  }
  return check(configSchema, content, `The config ${file} is not usable`);
}

function check<Schema extends z.ZodType>(
  schema: Schema,
  input: unknown,
  complaint: string,
): z.output<Schema> {
  const result = schema.safeParse(input, { reportInput: true });
  if (result.success) return result.data;
  const reasons = result.error.issues.flatMap((issue) =>
    issue.code === 'unrecognized_keys'
      ? issue.keys.map((key) => `  ${fieldName([...issue.path, key])}: unknown field`)
      : `  ${fieldName(issue.path)}: ${reasonOf(issue)}`,
  );
  throw new StartError([`${complaint}:`, ...reasons].join('\n'));
}

function reasonOf(issue: z.core.$ZodIssue): string {
  if (issue.code === 'invalid_key') return issue.issues.map(({ message }) => message).join(', ');
  const isMissing =
    (issue.code === 'invalid_type' || issue.code === 'invalid_value') && issue.input === undefined;
  return isMissing ? 'is missing' : issue.message;
}

function fieldName(path: PropertyKey[]): string {
  const name = path.map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`)).join('');
  return name.replace(/^\./, '') || '(the whole file)';
}
