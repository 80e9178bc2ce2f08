/** The ports of the demo services. The gateway.json of every phase names them. */
export const defaultPorts = { inventory: 4001, orders: 4002 };

/** A port for each demo service; 0 means any free one. */
export type DemoPorts = typeof defaultPorts;

/** The demo services, running. */
export interface RunningServices {
  readonly inventory: { readonly port: number };
  readonly orders: { readonly port: number };
  close(): Promise<void>;
}

/** Starts the demo services. Commands pass it to the rooms that need them, because rooms do not import each other. */
export type StartServices = (ports: DemoPorts) => Promise<RunningServices>;
