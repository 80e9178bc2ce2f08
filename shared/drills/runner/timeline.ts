import { colour } from '../../terminal/colour.ts';

const whoWidth = 12;

/** Prints each event when it happens: the ms since the first event, who, and what. */
export class Timeline {
  readonly #print: (line: string) => void;
  #begun: number | undefined;

  constructor(print: (line: string) => void) {
    this.#print = print;
  }

  say(who: string, what: string): void {
    const now = performance.now();
    this.#begun ??= now;
    const ms = String(Math.round(now - this.#begun)).padStart(6);
    this.#print(`${ms} ms  ${colour.cyan(who.padEnd(whoWidth))}  ${what}`);
  }
}
