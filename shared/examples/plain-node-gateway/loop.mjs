import { randomBytes } from 'node:crypto';
import { Problem } from './problem.mjs';

const LOOP_DETECTED = new Problem(
  'loop',
  508,
  'loop-detected',
  'Loop detected',
  'The request has already passed through this gateway: a route leads back to it.',
);

/** A name for Via that no other process has. */
export const randomName = () => `plain-node-gateway-${randomBytes(4).toString('hex')}`;

/** Stage loop: refuses a request whose Via contains the name. A member is a version, a name, and perhaps a comment. */
export function refuseLoops({ headers }, name) {
  const members = (headers.via ?? '').split(',').map((member) => member.trim().split(/\s+/));
  if (members.some(([, receivedBy]) => receivedBy === name)) throw LOOP_DETECTED;
}
