import http from 'node:http';
import net from 'node:net';

// A process that load.ts starts: a service that discards what it reads, and connections that keep a gateway busy.

const connections = new Set();
let load = null;

const sink = http.createServer((request, response) => {
  request.on('error', () => {}).resume();
  request.on('end', () => response.end('received'));
});
sink.listen(0, '127.0.0.1', () => process.send({ sinkPort: sink.address().port }));

// The process that started this one was killed.
process.once('disconnect', () => process.exit());

process.on('message', (message) => {
  if (message.start) {
    load = message.start;
    for (let i = 0; i < load.connections; i++) open(load);
  } else {
    load = null;
    for (const socket of connections) socket.destroy();
    process.send({ stopped: true });
  }
});

/** Opens a connection, and a new one when the gateway has closed it. */
function open(spec) {
  const socket = net.connect(spec.port, spec.host, () =>
    spec.part ? upload(socket, spec) : ask(socket, spec),
  );
  connections.add(socket);
  socket.on('error', () => {});
  socket.once('close', () => {
    connections.delete(socket);
    // In a setImmediate, so that a gateway that does not listen is not called in a loop without end.
    if (load === spec) setImmediate(open, spec);
  });
}

/** Writes the parts of a body without end, as fast as the gateway reads. */
function upload(socket, { head, part }) {
  const parts = Buffer.from(part.repeat(Math.ceil(65_536 / part.length)), 'latin1');
  socket.resume();
  socket.write(head);
  const more = () => {
    while (!socket.destroyed && socket.writable && socket.write(parts));
  };
  socket.on('drain', more);
  more();
}

/** Sends `depth` requests at a time, and the next ones when all of them are answered. */
function ask(socket, { head, depth }) {
  const requests = head.repeat(depth);
  let tail = '';
  let left = depth;
  socket.setEncoding('latin1').on('data', (text) => {
    const answers = (tail + text).split('HTTP/1.1 ').length - 1;
    tail = text.slice(-8); // shorter than what is counted
    left -= answers;
    if (left > 0) return;
    left = depth;
    socket.write(requests);
  });
  socket.write(requests);
}
