// run-gateway.ts loads this file into each gateway with --import, before server.ts, which does not depend on it.

// A message means stop. It acts like SIGTERM, which Windows does not have.
process.once('message', () => {
  if (!process.emit('SIGTERM', 'SIGTERM')) process.exit(143);
});

// The run command has ended, and with it the demo services and the reader of stdout. process.exit() is not enough:
// pino flushes its last lines there, and never finishes when stdout has no reader.
process.once('disconnect', end);
if (!process.connected) end();

// The listeners keep the channel open, and an open channel keeps the process alive. unref() undoes that.
process.channel?.unref();

function end(): void {
  process.kill(process.pid, 'SIGKILL');
}
