import { randomUUID } from 'node:crypto';
import { subscribe } from 'node:diagnostics_channel';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gatewayStarted, type StartedGateway } from '../../shared/process/gateway-started.ts';

// A setup file of vitest, used only by contract-configs.ts. It keeps the config of every gateway that a suite starts.

const { CONFIGS_FOLDER: folder = '', GATEWAY_LEVEL: level } = process.env;

subscribe(gatewayStarted.name, (message) => {
  const { config } = message as StartedGateway;
  writeFileSync(join(folder, `level-${level}_${randomUUID()}.json`), config);
});
