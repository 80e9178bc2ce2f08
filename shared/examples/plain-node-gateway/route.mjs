import { BAD_REQUEST, Problem } from './problem.mjs';

const NO_ROUTE = new Problem(
  'route',
  404,
  'no-route',
  'No route',
  'No route of this gateway matches the path. Check its spelling; letter case counts.',
);

/**
 * Stage route: a function that finds the route of a request, and what follows the prefix: { route, rest }.
 * It compares whole segments, so /api/ordersX is not on the route /api/orders. The longest prefix wins.
 */
export function createRouter(routes) {
  const table = routes
    .map((route) => ({ route, segments: route.prefix.split('/') }))
    .sort((a, b) => b.segments.length - a.segments.length);

  return ({ url, method }) => {
    const [path] = url.split('?', 1);
    const raw = path.split('/');
    // Split first and decode then: %2F is data within a segment, not a separator.
    const decoded = raw.map(decode);
    // The response to TRACE would show the client the header fields that the gateway adds for the service.
    const found =
      method !== 'TRACE' &&
      table.find(({ segments }) => segments.every((segment, i) => segment === decoded[i]));
    if (!found) throw NO_ROUTE;
    // The rest of the path, unchanged: '' for the bare prefix, otherwise with a slash in front.
    const rest = ['', ...raw.slice(found.segments.length)].join('/');
    return { route: found.route, rest: rest + url.slice(path.length) };
  };
}

function decode(segment) {
  try {
    return decodeURIComponent(segment);
  } catch {
    throw BAD_REQUEST;
  }
}
