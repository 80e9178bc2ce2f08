import type { ChildProcess } from 'node:child_process';
import { channel } from 'node:diagnostics_channel';

/** A gateway process that the harness has started. */
export interface StartedGateway {
  readonly child: ChildProcess;
  readonly command: string[];
  /** HOST, PORT and the environment variables that the test sets; inherited ones are left out. */
  readonly env: Record<string, string>;
  /** The text of its config file. */
  readonly config: string;
  stdout(): string;
  stderr(): string;
  /** True when it has answered GET /health with 200. */
  wasReady: boolean;
}

/** Publishes every gateway process as soon as it is spawned. It has no subscribers when the suites run alone. */
export const gatewayStarted = channel('contract.gateway.started');
