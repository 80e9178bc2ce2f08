import { isIPv6 } from 'node:net';

/** The address of the peer. IPv4 on a listener of `::` is written as IPv4. It is unknown when the connection was reset. */
export function peerOf({ remoteAddress = 'unknown' }) {
  return remoteAddress.replace(/^::ffff:(?=.*\.)/, '');
}

/** The address for the log: IPv4 as a whole, of IPv6 the first 64 bits, which belong to one customer. */
export function addressForLog(address) {
  if (!isIPv6(address)) return address;
  const [plain] = address.split('%');
  // A URL writes IPv6 in its shortest form: hexadecimal, with at most one `::`.
  const [left, right] = new URL(`http://[${plain}]`).hostname.slice(1, -1).split('::');
  const groups = left === '' ? [] : left.split(':');
  const behind = right ? right.split(':') : [];
  if (right !== undefined) while (groups.length + behind.length < 8) groups.push('0');
  return `${[...groups, ...behind].slice(0, 4).join(':')}::/64`;
}
