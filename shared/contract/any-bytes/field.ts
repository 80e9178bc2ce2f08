import { freePort } from '../../process/ports.ts';
import { configFor, type Gateway, level, startGateway } from '../harness/gateway.ts';
import { talk } from './client.ts';
import { findFault } from './judge.ts';
import { type Request, requestsOf } from './messages.ts';
import type { CasePlan } from './plans.ts';
import { describeBytes, type Shown } from './report.ts';
import { Service } from './service.ts';

const laneCount = 40;

/** What a gateway did wrong, with the bytes of both sides. */
export class Finding extends Error {
  constructor(faults: string[], clients: Shown[], service: Service) {
    super(`${faults.join('\n')}\n${describeBytes(clients, service.traffic)}`);
  }
}

/** A service and the route to it. It serves one case after the other. */
export class Lane {
  readonly service = new Service();
  readonly prefix: string;
  #before: Request[] = [];
  #tokens = 0;

  constructor(number: number) {
    this.prefix = `/lane-${number}`;
  }

  /** The beginning of ids that no other case of this lane has. */
  nextToken(): string {
    return (this.#tokens++).toString(36).padStart(5, '0');
  }

  /** Runs a case. Throws a Finding when the gateway does something wrong. */
  async run(plan: CasePlan, gateway: Gateway): Promise<void> {
    const token = this.nextToken();
    const sequences = plan.sequences.map((sequence, i) => ({
      sequence,
      requests: requestsOf(sequence, this.prefix, `${token}${'abc'[i]}`),
    }));
    const requests = sequences.flatMap((it) => it.requests);
    this.service.expect(requests);
    const mayBeLost = [...requests, ...this.#before].some(({ reply }) => reply.spoilsConnection);
    this.#before = requests;
    const records = await Promise.all(
      sequences.map(async ({ sequence, requests }) => ({
        requests,
        talk: await talk(gateway, requests, sequence),
        hasLeft: sequence.departure === 'leaves',
        mayBeLost,
      })),
    );
    const own = records.flatMap((record) => findFault(record, this.service) ?? []);
    const faults = [...this.service.faults.splice(0), ...own];
    if (faults.length === 0) return;
    const clients = records.map(({ requests, talk: { text, endedBy, wasReset } }) => ({
      requests,
      text,
      end: `${wasReset ? 'reset' : 'ended'} by: ${endedBy}`,
    }));
    throw new Finding(faults, clients, this.service);
  }
}

/** A gateway in front of many services. */
export interface Field {
  gateway: Gateway;
  lanes: Lane[];
}

/** Starts the services and a gateway with a route to each of them. */
export async function prepareField(): Promise<Field> {
  const lanes = Array.from({ length: laneCount }, (_, i) => new Lane(i));
  const services: { [name: string]: { url: string; timeoutMs: number } } = {};
  for (const { service, prefix } of lanes) {
    services[prefix.slice(1)] = { url: `http://127.0.0.1:${await service.listen()}`, timeoutMs: 60_000 };
  }
  const routes = lanes.map(({ prefix }) => ({ prefix, service: prefix.slice(1) }));
  const env: Record<string, string> = { LOG_LEVEL: 'error' };
  // Not counting takes less time than counting in the embedded Redis.
  if (level >= 3) env.REDIS_URL = `redis://127.0.0.1:${await freePort()}`;
  return { gateway: await startGateway(configFor({ services, routes }), { env }), lanes };
}

/** Stops the gateway and the services. */
export async function closeField({ gateway, lanes }: Field): Promise<void> {
  await gateway.stop();
  await Promise.all(lanes.map(({ service }) => service.close()));
}
