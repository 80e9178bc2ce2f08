import type { LookupAddress, LookupOptions } from 'node:dns';
import { lookup as lookupBySystem, Resolver } from 'node:dns/promises';
import { open } from 'node:fs/promises';
import { devNull } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';

// How long the look-up of the system may take before the name servers are asked directly.
const SYSTEM_BUDGET_MS = 500;

type Callback = (error: Error | null, address: string | LookupAddress[], family?: number) => void;

const inProgress = new Map<string, Promise<LookupAddress[]>>();
const resolver = new Resolver();

/**
 * The `lookup` function for net.connect(). dns.lookup() occupies one of the four threads of libuv until the system
 * answers, so four calls to a service whose name server hangs would hold up the look-ups of all other services. There is
 * one look-up of a name at a time, and a name that waits for a thread is resolved without one.
 */
export function lookup(name: string, options: LookupOptions, callback: Callback): void {
  let addresses = inProgress.get(name);
  if (!addresses) {
    addresses = resolve(name).finally(() => inProgress.delete(name));
    inProgress.set(name, addresses);
  }
  addresses.then(
    (found) => {
      const [first] = found;
      if (options.all || !first) callback(null, found);
      else callback(null, first.address, first.family);
    },
    (error) => callback(error, []),
  );
}

/** The system goes first, because it alone knows the hosts file and the search domains. */
function resolve(name: string): Promise<LookupAddress[]> {
  const fromSystem = lookupBySystem(name, { all: true }).catch(throwCause);
  const settled = new AbortController();
  fromSystem.catch(() => {}).finally(() => settled.abort());
  const fromServers = delay(SYSTEM_BUDGET_MS, undefined, { signal: settled.signal }).then(() =>
    askServers(name),
  );
  return Promise.race([fromSystem, fromServers.catch(() => fromSystem)]);
}

/** Without a descriptor getaddrinfo() calls every name unknown. Then open() fails, too, and gives the cause. */
async function throwCause(error: Error): Promise<never> {
  await (await open(devNull)).close();
  throw error;
}

/** Asks the name servers without a thread (c-ares). */
async function askServers(name: string): Promise<LookupAddress[]> {
  const [v4, v6] = await Promise.allSettled([resolver.resolve4(name), resolver.resolve6(name)]);
  const addresses = [
    ...(v4.status === 'fulfilled' ? v4.value.map((address) => ({ address, family: 4 })) : []),
    ...(v6.status === 'fulfilled' ? v6.value.map((address) => ({ address, family: 6 })) : []),
  ];
  if (addresses.length === 0) throw new Error(`The name servers know no address of ${name}.`);
  return addresses;
}
