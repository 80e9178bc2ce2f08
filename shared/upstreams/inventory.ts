import * as z from 'zod';
import type { Resource } from './resource.ts';

const newItem = z.strictObject({
  sku: z.string().regex(/^[A-Z]{3}-\d{3}$/, 'three capitals, a dash, three digits, such as LMP-004'),
  name: z.string().min(1).max(80),
  priceCents: z.int().positive(),
  inStock: z.int().nonnegative(),
});

/** The public data of the demo: items at '/', warehouses at '/warehouses'. Each call returns new rows. */
export function inventory(): Resource[] {
  return [
    {
      path: '/',
      create: (input) => newItem.parse(input),
      rows: [
        { id: 1, sku: 'LMP-001', name: 'Desk lamp', priceCents: 3900, inStock: 42 },
        { id: 2, sku: 'CHR-002', name: 'Oak chair', priceCents: 12900, inStock: 7 },
        { id: 3, sku: 'TBL-003', name: 'Standing table', priceCents: 44900, inStock: 0 },
      ],
    },
    {
      path: '/warehouses',
      rows: [
        { id: 1, city: 'Rotterdam', capacity: 12000 },
        { id: 2, city: 'Leipzig', capacity: 8500 },
      ],
    },
  ];
}
