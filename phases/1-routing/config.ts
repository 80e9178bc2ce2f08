import { readFileSync } from 'node:fs';
import * as z from 'zod';
import { viaNameSchema } from './loop.ts';
import { findRepeatedKeys } from './repeated-keys.ts';
import { routesSchema } from './route.ts';
import { StartError, validate } from './start-error.ts';
import { servicesSchema } from './upstream.ts';

/** The schema of gateway.json. Unknown fields are refused. */
export const configSchema = z
  .strictObject({
    $schema: z.string().optional(), // read by editors only
    services: servicesSchema,
    routes: routesSchema,
  })
  .superRefine(
    ({ services, routes }, context) => {
      for (const [i, route] of routes.entries()) {
        if (typeof route?.service !== 'string' || Object.hasOwn(services ?? {}, route.service)) continue;
        const message = `no service is called ${JSON.stringify(route.service)}`;
        context.addIssue({ code: 'custom', path: ['routes', i, 'service'], message });
      }
    },
    // Run this check also when single fields are wrong, so that one message lists everything.
    { when: ({ value }) => Array.isArray((value as Config | null)?.routes) },
  );

/** The content of gateway.json. */
export type Config = z.infer<typeof configSchema>;

const environmentSchema = z.object({
  PORT: z.coerce.number('must be a port number').int().min(0).max(65535).default(3000),
  HOST: z.string().default('127.0.0.1'),
  GATEWAY_CONFIG: z.string().optional(),
  DRAIN_DELAY_MS: z.coerce.number('must be whole ms, 0 to 300000').int().min(0).max(300_000).default(0),
  KEEP_ALIVE_TIMEOUT_MS: z.coerce
    .number('must be whole ms, 1000 to 86400000')
    .int()
    .min(1_000)
    .max(86_400_000) // a day; above 2^31 - 1 ms setTimeout fires at once
    .default(72_000),
  GATEWAY_NAME: viaNameSchema,
  LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'),
});

/** The settings of the process, from its environment variables. */
export type Environment = z.infer<typeof environmentSchema>;

/** Reads the environment variables; an empty one counts as unset. Throws a StartError. */
export function readEnvironment(variables: NodeJS.ProcessEnv): Environment {
  const set = Object.entries(variables).filter(([, value]) => value !== '');
  return validate(environmentSchema, Object.fromEntries(set), 'The environment is not usable');
}

/** Reads and validates a config file. Throws a StartError. */
export function readConfig(file: string): Config {
  let text: string;
  let content: unknown;
  try {
    text = readFileSync(file, 'utf8').replace(/^\uFEFF/, ''); // some editors write a byte order mark
    content = JSON.parse(text);
  } catch (error) {
    throw new StartError(`Cannot read the config ${file}: ${(error as Error).message}`);
  }
  return validate(configSchema, content, `The config ${file} is not usable`, findRepeatedKeys(text));
}
