// A load generator with a fixed rate. It sends each request when it is due, whether or not earlier ones were answered,
// and measures latency from the moment the request is due. wrk and autocannon wait for a response before they send the
// next request, so their latencies do not include the time in a queue (coordinated omission).
import { Pool } from 'undici';
import { quantile } from '../metrics/statistics.ts';
import { type Lateness, watchLateness } from './lateness.ts';

const { url, headers, connections, seconds, rate } = JSON.parse(process.argv[2] as string);
const { origin, pathname: path } = new URL(url);
const pool = new Pool(origin, { connections, pipelining: 1 });
// V8 has not optimised this process yet in its first second. The delay that this causes is not latency of the gateway.
const coldMs = 1000;
const latencies: number[] = [];
let answered = 0;
let errors = 0;
let non2xx = 0;
let bytes = 0;
let lateness: (() => Lateness) | undefined;

function send(due: number): void {
  pool.dispatch(
    { path, method: 'GET', headers },
    {
      onRequestStart() {},
      onResponseStart(_controller, status) {
        if (status < 200 || status > 299) non2xx += 1;
      },
      onResponseData(_controller, chunk) {
        bytes += chunk.length;
      },
      onResponseEnd() {
        answered += 1;
        if (due >= begun + coldMs) latencies.push(performance.now() - due);
      },
      onResponseError() {
        errors += 1;
      },
    },
  );
}

const begun = performance.now();
const total = Math.round(rate * seconds);
let sent = 0;
const clock = setInterval(() => {
  if (performance.now() - begun > coldMs) lateness ??= watchLateness();
  const dueByNow = Math.min(total, ((performance.now() - begun) / 1000) * rate);
  for (; sent < dueByNow; sent += 1) send(begun + (sent / rate) * 1000);
  if (sent === total && answered + errors === total) {
    clearInterval(clock);
    report();
  }
}, 1);

function report(): void {
  const [p50Ms, p99Ms, p999Ms] = [0.5, 0.99, 0.999].map((part) => quantile(latencies, part));
  const elapsed = (performance.now() - begun) / 1000;
  console.log(
    JSON.stringify({
      requests: answered,
      seconds: elapsed,
      bytes,
      errors,
      non2xx,
      p50Ms,
      p99Ms,
      p999Ms,
      lateness: lateness?.(),
    }),
  );
  process.exit(0);
}
