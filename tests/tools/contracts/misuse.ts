// Code that must not compile: the compiler reports each directive whose line has no error.

import type { BusMessage, EventOf, Line, ShopEvent } from "../../../docs/events/events";

declare const event: ShopEvent;
declare const placed: EventOf<"OrderPlaced.v2">;

// @ts-expect-error: a field of one event needs a check of the type first
event.data.total_minor;

// @ts-expect-error: money is a number of minor units, not a text
export const total: string = placed.data.total_minor;

// @ts-expect-error: the field is called unit_price_minor
export const price: number = placed.data.lines[0]!.unit_price;

// @ts-expect-error: a line has a price
export const free: Line = { sku: "MUG-BLUE", quantity: 1 };

// @ts-expect-error: events are immutable
placed.data.customer_id = "somebody else";

// @ts-expect-error: no such event is published
export type Lost = EventOf<"OrderLost.v1">;

export function placedBy(message: BusMessage<EventOf<"OrderCancelled.v1">>): string {
  // @ts-expect-error: the type of the message excludes this event
  return message["detail-type"] === "OrderPlaced.v2" ? "" : message.detail.data.customer_id;
}

export function customer(shop: ShopEvent): string {
  if (shop.type === "OrderShipped.v1") {
    // @ts-expect-error: this event has only the order's id
    return shop.data.customer_id;
  }
  return "";
}
