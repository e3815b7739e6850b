// What must not compile: each line under a directive is an error, or the directive is one.

import type { BusMessage, EventOf, Line, ShopEvent } from "../../../docs/events/events";

declare const event: ShopEvent;
declare const placed: EventOf<"OrderPlaced.v1">;

// @ts-expect-error: before the type is known, a field of one event is none of all
event.data.total_minor;

// @ts-expect-error: money is a number of minor units, not a text
export const total: string = placed.data.total_minor;

// @ts-expect-error: the field is called unit_price_minor
export const price: number = placed.data.lines[0]!.unit_price;

// @ts-expect-error: a line has a price
export const free: Line = { sku: "MUG-BLUE", quantity: 1 };

// @ts-expect-error: an event is what happened, and stays so
placed.data.customer_id = "somebody else";

// @ts-expect-error: nobody publishes such an event
export type Lost = EventOf<"OrderLost.v1">;

export function placedBy(message: BusMessage<EventOf<"OrderCancelled.v1">>): string {
  // @ts-expect-error: the type of the message says already that this is another event
  return message["detail-type"] === "OrderPlaced.v1" ? "" : message.detail.data.customer_id;
}

export function customer(shop: ShopEvent): string {
  if (shop.type === "OrderShipped.v1") {
    // @ts-expect-error: this one says no more than which order it is
    return shop.data.customer_id;
  }
  return "";
}
