import { defineConfig } from 'vitest/config';

// Runs suites by hand against any gateway, for example the first step of suite 1 against a gateway of your own:
// GATEWAY_COMMAND="node my-gateway.js" GATEWAY_LEVEL=1 npx vitest run --config shared/contract/vitest.config.ts shared/contract/1-routing/01
export default defineConfig({
  test: {
    include: ['shared/contract/*/*.test.ts'],
    testTimeout: 30_000,
    hookTimeout: 30_000,
    // The suites mostly wait, so 4 workers also help on 2 cores.
    maxWorkers: 4,
    // Shuffles tests and describe blocks within their file. vitest prints the seed, and --sequence.seed repeats it.
    sequence: { shuffle: { tests: true } },
  },
});
