import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import fc from 'fast-check';
import { type Connection, connect, until } from '../harness/client.ts';
import { type Field, Finding, type Lane } from './field.ts';
import { type Request, requestsOf } from './messages.ts';
import { idleBytes, keptRequests, type RequestPlan } from './plans.ts';
import { NotHttp, type ReadAnswer, readAnswer, valuesOf } from './readers.ts';
import { seedOf } from './seeds.ts';

const crowdSize = 300;
const crowdRequest = `GET /nowhere HTTP/1.1\r\nHost: a\r\n${'a: b\r\n'.repeat(2_000)}\r\n`;

/** A client with one request after the other, and the lane that serves them. */
interface Visitor {
  lane: Lane;
  client: Connection;
  /** Number of bytes that have been judged. */
  at: number;
}

/**
 * Sends random bytes on idle connections of services just before the gateway uses them, and returns the number of
 * connections. Throws a Finding when a client gets such bytes. Needs /proc of Linux.
 *
 * The gateway is stopped twice. After the first stop it finds a request for each service and a crowd of 300 others at the
 * same moment. The second stop comes with the first answer to the crowd: the gateway has read the requests for the services
 * and has not written them yet, because the crowd keeps it busy. Then the services send their bytes. A round does not count
 * if half of the crowd has been answered by then, because the requests may have been written.
 */
export async function sendIdleBytes(
  { gateway, lanes }: Field,
  { seed, rounds, tries }: { seed: number; rounds: number; tries: number },
): Promise<number> {
  const crowd = await Promise.all(Array.from({ length: crowdSize }, () => connect(gateway)));
  const visitors: Visitor[] = await Promise.all(
    lanes.map(async (lane) => ({ lane, client: await connect(gateway), at: 0 })),
  );
  let sent = 0;
  for (let round = 0, tried = 0; round < rounds && tried < tries; tried++) {
    const plans = visitors.map((_, i) => planOf(seed, tried * visitors.length + i));
    await Promise.all(visitors.map((visitor, i) => visit(visitor, plans[i]?.before as RequestPlan)));

    await freeze(gateway.pid);
    const requests = visitors.map((visitor, i) => ask(visitor, plans[i]?.request as RequestPlan));
    const begun = crowd.map(({ received }) => received().length);
    for (const { socket } of crowd) socket.write(crowdRequest);
    const first = Promise.race(crowd.map(({ socket }) => once(socket, 'data')));
    process.kill(gateway.pid, 'SIGCONT');
    await first;
    await freeze(gateway.pid);
    for (let turns = 0; turns < 10; turns++) await nextTurn(); // what it has sent is read
    const isEarly =
      crowd.filter(({ received }, i) => received().length > (begun[i] ?? 0)).length < crowdSize / 2;
    if (isEarly) round++;
    const disturbed = visitors.map(({ lane }, i) =>
      isEarly && lane.service.seen(requests[i]?.id ?? '').times === 0
        ? lane.service.sendIdle(plans[i]?.bytes ?? '')
        : false,
    );
    sent += disturbed.filter(Boolean).length;
    process.kill(gateway.pid, 'SIGCONT');

    await Promise.all(
      visitors.map((visitor, i) => check(visitor, requests[i] as Request, disturbed[i] === true)),
    );
    await until(
      () => crowd.every(({ received }, i) => received().length > (begun[i] ?? 0)),
      'the crowd is answered',
      30_000,
    );
  }
  for (const { socket } of [...crowd, ...visitors.map(({ client }) => client)]) socket.destroy();
  return sent;
}

/** Sends a request and gets its answer, so that the gateway keeps a connection to the service. */
async function visit(visitor: Visitor, plan: RequestPlan): Promise<void> {
  await check(visitor, ask(visitor, plan), true);
}

function ask({ lane, client }: Visitor, plan: RequestPlan): Request {
  const [request] = requestsOf(
    { requests: [plan], flaw: null, sizes: [], departure: 'none' },
    lane.prefix,
    lane.nextToken(),
  ) as [Request];
  lane.service.expect([request]);
  client.socket.write(request.bytes, 'latin1');
  return request;
}

/** Waits for the answer. It must be that of the service, or 502 if the connection to the service may be lost. */
async function check(visitor: Visitor, request: Request, mayBeLost: boolean): Promise<void> {
  const { client, lane, at } = visitor;
  let answer: ReadAnswer | undefined;
  const fail = (fault: string) => {
    throw new Finding(
      [fault],
      [{ requests: [request], text: client.received().slice(at), end: '' }],
      lane.service,
    );
  };
  await until(
    () => {
      try {
        answer = readAnswer(client.received(), at, request.method);
      } catch (error) {
        if (error instanceof NotHttp) fail(`The client got bytes that are not HTTP: ${error.message}`);
        throw error;
      }
      return answer?.isComplete === true || client.closed();
    },
    `request ${request.id} is answered`,
    30_000,
  );
  if (!answer?.isComplete) return fail(`Request ${request.id} got no complete answer.`);
  visitor.at = answer.end;
  const isOwn = valuesOf(answer.head, 'x-id').join() === request.id && answer.body === request.reply.body;
  if (!isOwn && !(mayBeLost && answer.status === 502 && valuesOf(answer.head, 'x-id').length === 0)) {
    fail(`Request ${request.id} got bytes that its service sent before it had the request.`);
  }
  if (lane.service.faults.length > 0) fail(lane.service.faults.join('\n'));
}

interface IdlePlan {
  before: RequestPlan;
  request: RequestPlan;
  bytes: string;
}

const idlePlans = fc.record({ before: keptRequests, request: keptRequests, bytes: idleBytes });

function planOf(seed: number, i: number): IdlePlan {
  return fc.sample(idlePlans, { seed: seedOf(seed, i), numRuns: 1 })[0] as IdlePlan;
}

/** Sends SIGSTOP and waits until the process has stopped. */
async function freeze(pid: number): Promise<void> {
  process.kill(pid, 'SIGSTOP');
  await until(() => / T /.test(readFileSync(`/proc/${pid}/stat`, 'latin1')), 'the gateway has stopped');
}
