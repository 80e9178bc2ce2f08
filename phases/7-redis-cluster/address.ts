import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import ipaddr from 'ipaddr.js';

/** Where a request comes from. */
export interface Sender {
  /** The client as the log shows it: IPv4 whole, IPv6 as its /64. */
  address: string;
  /** X-Forwarded-For, -Proto and -Host for the service, as a flat list of names and values. */
  forwarded: string[];
}

/** Finds the sender of a request. */
export type FindSender = (request: Pick<IncomingMessage, 'socket' | 'headers'>) => Sender;

/** Without proxies in front of the gateway, the client is the peer of the connection. */
export const directSender: FindSender = ({ socket, headers }) => {
  const peer = peerOf(socket);
  return senderOf(peer, peer, 'http', headers.host);
};

/** `addresses` are those for X-Forwarded-For: the client first, the peer last. */
export function senderOf(client: string, addresses: string, protocol: string, host = ''): Sender {
  return {
    address: network(client),
    forwarded: ['x-forwarded-for', addresses, 'x-forwarded-proto', protocol, 'x-forwarded-host', host],
  };
}

/** The address of the peer. The system does not know it any more when the connection has been reset. */
export function peerOf({ remoteAddress }: Socket): string {
  return remoteAddress === undefined ? 'unknown' : plainAddress(remoteAddress);
}

/** An IPv4 address without the IPv6 form that a listener on `::` gives it. */
export function plainAddress(address: string): string {
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address;
}

/** The part of an address that one customer has. IPv6 customers get a /64 and can use a new address for every request. */
function network(address: string): string {
  if (!address.includes(':')) return address; // IPv4
  const ip = parseAddress(address);
  if (!(ip instanceof ipaddr.IPv6)) return ip.toString();
  const prefix = ip.parts.slice(0, 4).map((part) => part.toString(16));
  return `${prefix.join(':')}::/64`;
}

/** Parses a valid address, without its zone, and unwraps ::ffff:192.0.2.1 in any spelling. */
export function parseAddress(address: string): ipaddr.IPv4 | ipaddr.IPv6 {
  const [plain = ''] = address.split('%'); // ipaddr.js does not parse every zone, such as fe80::1%eth0.100
  return ipaddr.process(plain);
}
