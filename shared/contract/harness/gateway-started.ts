import type { ChildProcess } from 'node:child_process';
import { channel } from 'node:diagnostics_channel';

/** A gateway process that the harness has started. */
export interface StartedGateway {
  readonly child: ChildProcess;
  readonly command: string[];
  /** What it was told by environment variables, beside those of the tests themselves. */
  readonly env: Record<string, string>;
  /** The text of its config file. */
  readonly config: string;
  stdout(): string;
  stderr(): string;
}

/** Tells whoever subscribes of every gateway, as soon as it is started. Nobody does while suites run by themselves. */
export const gatewayStarted = channel('contract.gateway.started');
