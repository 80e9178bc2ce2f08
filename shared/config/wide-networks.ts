import ipaddr from 'ipaddr.js';

// The widest networks of private addresses: 10.0.0.0/8 and fc00::/7. A block of public IPv6 addresses this wide belongs
// to a registry, not to an operator.
const widestBits = { ipv4: 8, ipv6: 7 };
const widestPublicIpv6Bits = 16;

/**
 * Whether a network of `trustedProxies`, which a phase has accepted, holds far more addresses than the proxies of one
 * operator have.
 */
export function isWide(network: string): boolean {
  if (!network.includes('/')) return false;
  let [address, bits] = ipaddr.parseCIDR(network);
  if (address instanceof ipaddr.IPv6 && address.isIPv4MappedAddress()) {
    address = address.toIPv4Address();
    bits -= 96;
  }
  if (bits < widestBits[address.kind()]) return true;
  const isPublic = address.kind() === 'ipv6' && !['uniqueLocal', 'linkLocal'].includes(address.range());
  return isPublic && bits < widestPublicIpv6Bits;
}
