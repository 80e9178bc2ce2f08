import * as z from 'zod';
import type { Resource } from './resource.ts';

const newOrder = z.strictObject({
  customerId: z.int().positive(),
  lines: z.array(z.strictObject({ sku: z.string().min(1), quantity: z.int().positive() })).min(1),
});

/** The private data of the demo: orders at '/', customers at '/customers'. Each call returns new rows. */
export function orders(): Resource[] {
  return [
    {
      path: '/',
      create: (input) => ({ ...newOrder.parse(input), status: 'open' }),
      rows: [
        { id: 1, customerId: 1, lines: [{ sku: 'LMP-001', quantity: 2 }], status: 'shipped' },
        { id: 2, customerId: 2, lines: [{ sku: 'CHR-002', quantity: 4 }], status: 'paid' },
        { id: 3, customerId: 1, lines: [{ sku: 'TBL-003', quantity: 1 }], status: 'open' },
      ],
    },
    {
      path: '/customers',
      rows: [
        { id: 1, name: 'Ada Byron', city: 'London' },
        { id: 2, name: 'Blaise Martin', city: 'Rouen' },
      ],
    },
  ];
}
