import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import Fastify from 'fastify';
import type { Client } from './client.ts';
import type { Scene } from './scene.ts';
import type { DrillService } from './service.ts';

/**
 * A gateway that is quick to write: it passes every request that `admits` accepts to `reply.from` of
 * @fastify/reply-from with the default options. The others get 401.
 */
export async function startCarelessGateway(
  scene: Scene,
  service: DrillService,
  admits: (request: IncomingMessage) => boolean = () => true,
): Promise<Client> {
  const { default: replyFrom } = await import('@fastify/reply-from');
  const gateway = Fastify({ forceCloseConnections: true });
  scene.atEnd(() => gateway.close());
  await gateway.register(replyFrom, { base: service.url });
  gateway.get('/*', (request, reply) => (admits(request.raw) ? reply.from() : reply.code(401).send()));
  await gateway.listen({ port: 0, host: '127.0.0.1' });
  return scene.client(`http://127.0.0.1:${(gateway.server.address() as AddressInfo).port}`);
}
