// A consumer outside the shop: it writes a line about each event that it receives from the bus.

import type { BusMessage, EventOf, EventType, ShopEvent } from "./events";

/** A line about an event, or undefined for events that are of no interest here. */
export function line(event: ShopEvent): string | undefined {
  switch (event.type) {
    case "OrderPlaced.v2": {
      const { total_minor, currency, lines } = event.data;
      const units = lines.reduce((sum, each) => sum + each.quantity, 0);
      return `${event.time} ${event.subject}: ${units} units for ${total_minor} ${currency}`;
    }
    case "OrderRejected.v2":
      return `${event.subject}: ${reasons[event.data.reason]}`;
    default:
      return undefined;
  }
}

/** A text for each reason. The compiler reports a missing one. */
const reasons: Record<EventOf<"OrderRejected.v2">["data"]["reason"], string> = {
  out_of_stock: "we have too few",
  payment_declined: "the payment was declined",
  payment_unavailable: "the payment provider does not answer",
  checkout_failed: "something went wrong",
};

/** The handler of a queue that receives events from a rule. */
export async function handler(batch: { Records: { body: string }[] }): Promise<void> {
  for (const record of batch.Records) {
    const message = JSON.parse(record.body) as BusMessage;
    const text = line(message.detail);
    if (text !== undefined) {
      await notify(text, message["detail-type"]);
    }
  }
}

declare function notify(text: string, about: EventType): Promise<void>;
