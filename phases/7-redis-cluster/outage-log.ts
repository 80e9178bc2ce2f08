import type { Logger } from 'pino';

// Changes of a state that follow the last line within this time share one line.
const FOLD_MS = 10_000;

/** Logs when something is lost and found. When it flaps, one line in FOLD_MS says its state and counts its changes. */
export class OutageLog {
  readonly #log: Logger;
  readonly #name: string;
  #error: Error | null = null;
  /** Changes without a line. */
  #changes = 0;
  #recent: NodeJS.Timeout | null = null;

  constructor(log: Logger, name: string) {
    this.#log = log;
    this.#name = name;
  }

  /** Notes a change: lost because of an error, or found. */
  note(error: Error | null): void {
    this.#error = error;
    // Found is logged at once after a line that says lost.
    if (this.#recent && (error || this.#changes > 0)) this.#changes++;
    else this.#write({});
  }

  #write(fields: { changes?: number }): void {
    if (this.#error) this.#log.warn({ reason: inWords(this.#error), ...fields }, `${this.#name} lost`);
    else this.#log.info(fields, `${this.#name} found`);
    this.#changes = 0;
    clearTimeout(this.#recent ?? undefined);
    this.#recent = setTimeout(() => {
      this.#recent = null;
      if (this.#changes > 0) this.#write({ changes: this.#changes });
    }, FOLD_MS).unref();
  }
}

/** The cause of a failed connection. */
function inWords(error: Error): string {
  const { errors, library, reason, message } = error as Error & {
    errors?: Error[];
    library?: string;
    reason?: string;
  };
  if (library) return `TLS: ${reason}`; // the message of OpenSSL has file names and line numbers of OpenSSL
  return errors?.[0]?.message ?? message; // a name with several addresses gives an AggregateError without a message
}
