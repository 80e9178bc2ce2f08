import type { FastifyInstance, onRequestAsyncHookHandler, onRequestHookHandler } from 'fastify';

/** Lets a request pass, or throws a Problem. */
export type Gate = onRequestHookHandler | onRequestAsyncHookHandler;

/**
 * Returns the function that adds gates to the pipeline. They run in the order in which they are added. The name is for
 * the reader: problems, the log (`refusedBy`) and docs/errors.md call the stage by it.
 */
export function stages(pipeline: FastifyInstance) {
  return (_name: string, gate: Gate): void => {
    pipeline.addHook('onRequest', gate);
  };
}
