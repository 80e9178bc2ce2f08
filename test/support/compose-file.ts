import { join } from 'node:path';
import { parse } from 'yaml';
import { readText } from '../../shared/repository/phase-files.ts';
import { root } from '../../shared/repository/phases.ts';

/** The fields of a service in docker-compose.yml that the tests read, with merge keys resolved. */
export interface ComposeService {
  image?: string;
  build?: { context: string; target: string; args?: Record<string, string> };
  user?: string;
  read_only?: boolean;
  cap_drop?: string[];
  cap_add?: string[];
  privileged?: boolean;
  security_opt?: string[];
  restart?: string;
  ports?: string[];
  profiles?: string[];
  volumes?: string[];
  tmpfs?: string[];
  networks?: string[];
  /** The further names of the service, by network. */
  aliases: Record<string, string[]>;
  command?: string[];
  environment?: Record<string, string>;
  stop_grace_period?: string;
  depends_on?: Record<string, { condition: string; required?: boolean }>;
  healthcheck?: { test?: string[]; disable?: boolean };
  deploy?: { resources: { limits: { cpus: string; memory: string; pids: number } } };
}

interface Compose {
  services: Record<string, ComposeService>;
  networks: Record<string, { internal?: boolean; ipam?: { config: Array<{ subnet: string }> } } | null>;
}

/** Path of docker-compose.yml. */
export const composeFile = join(root, 'docker-compose.yml');

/** The parts of docker-compose.yml that the tests read. */
export const compose = parse(readText(composeFile), { merge: true }) as Compose;
for (const service of Object.values(compose.services)) splitNetworks(service);

/** The networks of a service are a list, or an object with its aliases in each. Makes a list of both. */
function splitNetworks(service: ComposeService): void {
  service.aliases = {};
  if (!service.networks || Array.isArray(service.networks)) return;
  for (const [network, { aliases = [] }] of Object.entries<{ aliases?: string[] }>(service.networks)) {
    service.aliases[network] = aliases;
  }
  service.networks = Object.keys(service.aliases);
}

/** The services that `docker compose --profile NAME up` starts: those with this profile, and those without any. */
export function servicesOf(profile: string): Array<[string, ComposeService]> {
  return Object.entries(compose.services).filter(([, { profiles }]) => profiles?.includes(profile) ?? true);
}

/** The profile that starts when none is given. */
export const defaultProfile = /^COMPOSE_PROFILES=(.+)$/m.exec(readText(join(root, '.env')))?.[1] ?? '';

/** The services that `docker compose up` starts. */
export const stackServices = servicesOf(defaultProfile);
