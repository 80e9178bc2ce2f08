// Rooms that every other room may import.
const basicRooms = ['repository', 'terminal', 'process', 'metrics'];
// The suites judge any gateway, so they know nothing of this repository.
const roomsForContract = ['process', 'metrics'];
// The benchmark compares the limiter of phase 3 with others, without the rest of the gateway.
const measuredPhase = 'shared/bench/peers/limiter.mjs';

/** The folder of shared/ that holds a file: 'kit' for 'shared/kit/verify/judge.ts'. Outside shared/, the first folder. */
export function roomOf(path: string): string {
  const [first = '', second = ''] = path.split('/');
  return first === 'shared' ? second : first;
}

/** Whether a file may import another one: see shared/README.md. */
export function isAllowed(path: string, target: string): boolean {
  const [from, to] = [roomOf(path), roomOf(target)];
  if (from === to) return true;
  if (path === measuredPhase && to === 'phases') return true;
  if (from === 'test') return to !== 'phases';
  if (from === 'cli') return !['test', 'phases'].includes(to);
  return (from === 'contract' ? roomsForContract : basicRooms).includes(to);
}

/** The first cycle of a graph, with its first node again at its end; [] when there is none. */
export function findCycle(graph: ReadonlyMap<string, string[]>): string[] {
  const done = new Set<string>();
  const path: string[] = [];
  const search = (node: string): string[] => {
    if (path.includes(node)) return [...path.slice(path.indexOf(node)), node];
    if (done.has(node)) return [];
    path.push(node);
    for (const next of graph.get(node) ?? []) {
      const cycle = search(next);
      if (cycle.length > 0) return cycle;
    }
    path.pop();
    done.add(node);
    return [];
  };
  for (const node of graph.keys()) {
    const cycle = search(node);
    if (cycle.length > 0) return cycle;
  }
  return [];
}
