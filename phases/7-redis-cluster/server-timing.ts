import type { FastifyInstance, onRequestHookHandler } from 'fastify';
import type { Exchange } from './exchange.ts';
import { stages } from './stages.ts';

// The stages in the field. `parse` and `access` take too little time to be shown.
const SHOWN = ['route', 'identify', 'limit', 'circuit', 'upstream'];

/** The Server-Timing field of one response (W3C Server Timing), which grows with each stage. */
export class ServerTiming {
  readonly #exchange: Exchange;
  readonly #members: string[] = [];
  #lastMs = 0;

  constructor(exchange: Exchange) {
    this.#exchange = exchange;
  }

  /** Notes the time of a stage: since the stage before, or since the request headers. */
  timeStage(stage: string): void {
    this.#members.push(...this.#member(stage));
    this.#lastMs = this.#exchange.elapsedMs;
  }

  /** The value of the field: the stages that have run, then `upstream` or the stage that refused, then `total`. */
  value(): string {
    const { calledMs, problem, elapsedMs } = this.#exchange;
    const last = calledMs === null ? problem?.stage : 'upstream';
    const members = last === undefined ? this.#members : [...this.#members, ...this.#member(last)];
    return [...members, `total;dur=${elapsedMs.toFixed(3)}`].join(', ');
  }

  #member(stage: string): string[] {
    const ms = this.#exchange.elapsedMs - this.#lastMs;
    return SHOWN.includes(stage) ? [`${stage};dur=${ms.toFixed(3)}`] : [];
  }
}

/** As `stages`. If `timed`, a hook behind each gate notes the time of its stage. */
export function timedStages(pipeline: FastifyInstance, timed: boolean): ReturnType<typeof stages> {
  const stage = stages(pipeline);
  return (name, gate) => {
    stage(name, gate);
    if (timed) pipeline.addHook('onRequest', timeStage(name));
  };
}

function timeStage(name: string): onRequestHookHandler {
  return (request, _reply, done) => {
    request.exchange.timing?.timeStage(name);
    done();
  };
}
