import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type * as z from 'zod';
import type { Phase } from '../repository/phases.ts';

/** A config that a phase accepts. Earlier phases have fewer sections. */
export interface GatewayFile {
  services: Record<string, { url: string; timeoutMs: number }>;
  routes: Array<{ prefix: string; service: string; access?: 'public' | 'protected' }>;
  clients?: Array<{ id: string; keySha256: string[] }>;
  trustedProxies?: string[];
  rateLimit?: Record<'identified' | 'anonymous', { limit: number; windowMs: number }>;
  circuitBreaker?: { failureThreshold: number; cooldownMs: number };
}

/** How a phase reads its config. It is the code of the phase, so nothing differs from a start. */
export interface PhaseConfig {
  /** The zod schema of gateway.json. */
  readonly schema: z.ZodType;
  /** The content of a file, or the message with which a start ends. */
  read(file: string): { config: GatewayFile } | { refusal: string };
}

/** Loads the files of a phase that read its config. */
export async function loadPhaseConfig({ folder }: Phase): Promise<PhaseConfig> {
  const load = (file: string) => import(pathToFileURL(join(folder, file)).href);
  const { configSchema, readConfig } = await load('config.ts');
  const { StartError } = await load('start-error.ts');
  return {
    schema: configSchema,
    read(file) {
      try {
        return { config: readConfig(file) };
      } catch (error) {
        if (error instanceof StartError) return { refusal: (error as Error).message };
        throw error;
      }
    },
  };
}
