import { lookup as lookupBySystem, Resolver } from 'node:dns/promises';
import { open } from 'node:fs/promises';
import { devNull } from 'node:os';

// A look-up of the system that takes longer waits for a thread or for a name server.
const SYSTEM_BUDGET_MS = 500;

const resolver = new Resolver();
const inProgress = new Map();

/**
 * The `lookup` of a connection. dns.lookup() has four threads for all names, so some names that hang would hold up all
 * others. Here a name is looked up once at a time, and the name servers are asked without a thread if that takes long.
 */
export function lookup(name, { all }, callback) {
  if (!inProgress.has(name))
    inProgress.set(
      name,
      find(name).finally(() => inProgress.delete(name)),
    );
  inProgress.get(name).then(
    (found) => (all ? callback(null, found) : callback(null, found[0].address, found[0].family)),
    (error) => callback(error, []),
  );
}

/** The first answer. The system alone knows the hosts file and the search domains, so it is asked first. */
function find(name) {
  return new Promise((resolve, reject) => {
    const askNameServers = () => findByNameServers(name).then(resolve, () => {});
    const timer = setTimeout(askNameServers, SYSTEM_BUDGET_MS);
    lookupBySystem(name, { all: true })
      .catch(throwCause)
      .then(resolve, reject)
      .finally(() => clearTimeout(timer));
  });
}

/** Without a descriptor getaddrinfo() calls every name unknown. Then open() fails, too, and gives the cause. */
async function throwCause(error) {
  await (await open(devNull)).close();
  throw error;
}

async function findByNameServers(name) {
  const addresses = (family) => (found) => found.map((address) => ({ address, family }));
  const answers = await Promise.allSettled([
    resolver.resolve4(name).then(addresses(4)),
    resolver.resolve6(name).then(addresses(6)),
  ]);
  const found = answers.flatMap(({ value = [] }) => value);
  if (found.length === 0) throw new Error(`no address of ${name}`);
  return found;
}
