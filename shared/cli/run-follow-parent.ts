// Loaded into each gateway by --import, before its server.ts, which knows nothing of it.

// Told to stop: as by SIGTERM, which Windows does not have.
process.once('message', () => {
  if (!process.emit('SIGTERM', 'SIGTERM')) process.exit(143);
});

// The run command is gone, and with it the services and whoever read the log: not even process.exit(), because
// pino flushes its last lines there and tries for ever when nobody reads them.
process.once('disconnect', end);
if (!process.connected) end();

// The listeners keep the process alive for the channel's sake; the gateway alone should decide that.
process.channel?.unref();

function end(): void {
  process.kill(process.pid, 'SIGKILL');
}
