/** Rows and columns of a picture in another order than the file's: which stands where, and back. */

import { useMemo } from "preact/hooks";
import { address } from "../api/client";
import { type Loaded, useData } from "../api/data";
import type { LineOrder, Orders } from "../api/types";

export interface Arrangement {
  orders: Orders;
  /** What addresses of the picture's parts need. */
  parameters: { rows: LineOrder | null; columns: LineOrder | null; against?: string; show?: "other" | "difference" };
}

/** The number in the file of what stands at a place. */
export function fileNumber(order: number[] | null, place: number): number {
  return order?.[place] ?? place;
}

/** Where each of the file's numbers stands; null where that is its own place. */
function places(order: number[] | null): number[] | null {
  if (!order) return null;
  const found = new Array<number>(order.length);
  order.forEach((number, place) => (found[number] = place));
  return found;
}

export interface Placed extends Arrangement {
  placeOf: Orders;
}

/** An arrangement, once it is known. */
export function useArrangement(base: (string | number)[], rows: LineOrder | null, columns: LineOrder | null): Loaded<Placed> {
  const loaded = useData<Orders>(rows || columns ? address([...base, "order"], { rows, columns }) : null);
  return useMemo(() => {
    const orders = rows || columns ? loaded.data : { rows: null, columns: null };
    const data = orders && { orders, parameters: { rows, columns }, placeOf: { rows: places(orders.rows), columns: places(orders.columns) } };
    return { data, error: loaded.error, loading: loaded.loading };
  }, [loaded.data, loaded.error, loaded.loading, rows, columns]);
}
