// A consumer outside of the shop: what it writes from what the bus delivers to it.

import type { BusMessage, EventOf, EventType, ShopEvent } from "./events";

/** One line about an event; none about those that nobody here is interested in. */
export function line(event: ShopEvent): string | undefined {
  switch (event.type) {
    case "OrderPlaced.v1": {
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

/** Has to name each reason: a new one is a new version of the event. */
const reasons: Record<EventOf<"OrderRejected.v2">["data"]["reason"], string> = {
  out_of_stock: "we have too few",
  payment_declined: "the payment was declined",
  payment_unavailable: "the payment provider does not answer",
  checkout_failed: "something went wrong",
};

/** A handler of a queue that a rule of the bus fills. */
export async function handler(batch: { Records: { body: string }[] }): Promise<void> {
  for (const record of batch.Records) {
    const message = JSON.parse(record.body) as BusMessage;
    const said = line(message.detail);
    if (said !== undefined) {
      await tell(said, message["detail-type"]);
    }
  }
}

declare function tell(said: string, about: EventType): Promise<void>;
