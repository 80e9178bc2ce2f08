import { randomBytes } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import * as z from 'zod';
import { membersOf } from './headers.ts';
import { Problem } from './problem.ts';

/**
 * The name of the gateway in Via (a pseudonym, RFC 9110 7.6.3). By default each process has its own. Gateways with the
 * same configured name refuse each other's requests.
 */
export const viaNameSchema = z
  .string()
  .regex(/^[\w.-]{1,64}$/, 'must be 1 to 64 letters, digits, dots, dashes or underscores')
  .default(() => `phased-gateway-${randomBytes(4).toString('hex')}`);

const LOOP_DETECTED = new Problem(
  'loop',
  508,
  'loop-detected',
  'Loop detected',
  'The request has already passed through this gateway: a route leads back to it.',
);

/**
 * Gate: refuses requests whose Via contains the name of this gateway. Without it, a route whose service is the gateway
 * itself turns one request into as many as there are descriptors.
 */
export function refuseLoops(viaName: string) {
  return (request: FastifyRequest, _reply: FastifyReply, done: () => void): void => {
    const { via } = request.raw.headers;
    if (via !== undefined && membersOf(via).some((member) => nameIn(member) === viaName)) throw LOOP_DETECTED;
    done();
  };
}

/** A member of Via is a version and a name; a comment may follow. */
function nameIn(member: string): string | undefined {
  return member.split(/[ \t]+/, 2)[1];
}
