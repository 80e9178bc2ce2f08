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
  networks?: string[];
  command?: string[];
  environment?: Record<string, string>;
  stop_grace_period?: string;
  depends_on?: Record<string, { condition: string }>;
  healthcheck?: { test: string[]; interval: string; timeout: string; retries: number };
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

/** The services that `docker compose up` starts: those without a profile. */
export const stackServices = Object.entries(compose.services).filter(([, { profiles }]) => !profiles);
