import { isIP, isIPv4 } from 'node:net';
import type { IPv4, IPv6 } from 'ipaddr.js';
import * as z from 'zod';
import { directSender, type FindSender, parseAddress, peerOf, plainAddress, senderOf } from './address.ts';
import { membersOf } from './headers.ts';
import { HOST } from './well-formed.ts';

/** The proxies whose X-Forwarded-* fields are trusted, as addresses and networks. A number of hops is not accepted: a client could forge it. */
export const trustedProxiesSchema = z.array(
  z.string().refine(parseNetwork, 'must be an IP address or a network such as 10.0.0.0/8'),
);

/**
 * Finds the client behind trusted proxies. Each proxy appends the address of its client to X-Forwarded-For, so the field
 * is read from the right, up to the first address that is not trusted. A client can write only what stands before it.
 */
export function senderBehind(proxies: string[]): FindSender {
  if (proxies.length === 0) return directSender;
  const networks = proxies.map((proxy) => parseNetwork(proxy) as Network);
  const isTrusted = (address: string): boolean => {
    if (isIP(address) === 0) return false;
    const ip = parseAddress(address);
    return networks.some(([first, bits]) => ip.kind() === first.kind() && ip.match(first, bits));
  };

  return (request) => {
    const { headers, socket } = request;
    const chain = [peerOf(socket)]; // from the peer to the client
    if (!isTrusted(chain[0] as string)) return directSender(request);
    let hops = 0;
    for (const member of membersOf(headers['x-forwarded-for']).reverse()) {
      hops += 1;
      const address = withoutPort(member);
      if (isIP(address) > 0) chain.push(plainAddress(address));
      else chain.length = 1; // the peer counts
      if (!isTrusted(address)) break;
    }
    /** The member that the proxy next to the client has written. */
    const outer = (name: string, valid: RegExp): string | undefined => {
      const members = membersOf(headers[name]);
      const member = members[Math.max(0, members.length - hops)];
      return member && valid.test(member) ? member : undefined;
    };
    const protocol = outer('x-forwarded-proto', /^https?$/i) ?? 'http';
    const host = outer('x-forwarded-host', HOST) ?? headers.host;
    const sender = senderOf(chain.at(-1) as string, chain.toReversed().join(', '), protocol, host);
    const port = outer('x-forwarded-port', /^[1-9]\d{0,4}$/);
    if (port) sender.forwarded.push('x-forwarded-port', port);
    return sender;
  };
}

/** Some proxies write the port of their client, too: `203.0.113.5:50123`, `[2001:db8::1]:443`. */
function withoutPort(member: string): string {
  const [, v6, v4] = /^(?:\[([\da-f:.]+)\]|([\d.]+))(?::\d{1,5})?$/i.exec(member) ?? [];
  return v6 ?? v4 ?? member;
}

type Network = [first: IPv4 | IPv6, bits: number];

/** Null if it is not a network, or one of all addresses: that would trust every client. */
function parseNetwork(text: string): Network | null {
  const [, address = '', bits] = /^([^/%]+)(?:\/([1-9]\d*))?$/.exec(text) ?? [];
  const longest = isIPv4(address) ? 32 : 128;
  if (isIP(address) === 0 || Number(bits ?? 1) > longest) return null;
  const first = parseAddress(address);
  const unwrapped = first.kind() === 'ipv4' ? longest - 32 : 0; // ::ffff:10.0.0.0/104 is 10.0.0.0/8
  const width = Number(bits ?? longest) - unwrapped;
  return width > 0 ? [first, width] : null;
}
