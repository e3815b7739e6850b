// What the shop publishes, generated from its event classes by `make generated`: do not edit.
// The times are RFC 3339 with an offset. Fields that are not declared here may come at any time.

/** Whether the shop takes the order back */
export type Approved = boolean;

/**
 * ISO 4217 code
 * @pattern ^[A-Z]{3}$(?!\n)
 */
export type Currency = string;

/** The customer, as the user pool calls them */
export type CustomerId = string;

/**
 * Deadline of the delivery
 * @format date-time
 */
export type Deadline = string;

/** The provider's id of the dispute */
export type DisputeId = string;

/**
 * Money in minor units (cents)
 * @minimum 0
 * @maximum 1000000000000
 */
export type Minor = number;

/** The order */
export type OrderId = string;

/**
 * Units
 * @minimum 1
 * @maximum 100000
 */
export type Quantity = number;

/**
 * Stock keeping unit: 1 to 64 of A-Z a-z 0-9 . _ / + : -
 * @pattern ^[A-Za-z0-9][A-Za-z0-9._/+:-]{0,63}$(?!\n)
 */
export type Sku = string;

/**
 * Total of all lines, in minor units
 * @minimum 0
 * @maximum 1000000000000
 */
export type TotalMinor = number;

/**
 * What the shop pays for a unit, in minor units
 * @minimum 0
 * @maximum 1000000000000
 */
export type UnitCost = number;

/**
 * End of the authorization
 * @format date-time
 */
export type Until = string;

/**
 * Free text
 * @minLength 1
 * @maxLength 500
 */
export type Words = string;

/** A way to reach a customer. */
export type Channel = "email" | "sms" | "webhook";

/** Why a payment was declined. */
export type DeclineReason = "authentication_required" | "payment_declined";

/** The kinds of personal data of a customer that a context no longer has. */
export interface Erased {
  /** The context */
  readonly context: string;
  /** Kinds of personal data */
  readonly kinds: readonly string[];
}

/** Some units of one item at the price that the customer saw. */
export interface Line {
  readonly sku: Sku;
  readonly quantity: Quantity;
  readonly unit_price_minor: Minor;
}

/**
 * Why the shop does not take an order back.
 *
 * - `used`: it was used more than it takes to try it
 * - `incomplete`: a part is missing
 * - `damaged_after_delivery`: it was damaged after it was delivered
 * - `not_the_item_sold`: something else was sent back
 * - `sent_back_late`: it was sent back too late, or not at all
 * - `not_returnable`: it cannot be sold again, because its seal is broken or it was made to order
 * - `conditions_not_met`: something else in the conditions of returns is not met
 * - `not_reviewed`: staff did not decide in time
 */
export type RefusalReason = "conditions_not_met" | "damaged_after_delivery" | "incomplete" | "not_returnable" | "not_reviewed" | "not_the_item_sold" | "sent_back_late" | "used";

/** Why an order could not be fulfilled. */
export type RejectionReason = "checkout_failed" | "out_of_stock" | "payment_declined" | "payment_unavailable";

/** Units of one item, reserved for an order. */
export interface Reserved {
  readonly sku: Sku;
  /**
   * Units
   * @minimum 1
   */
  readonly quantity: number;
}

/**
 * Why a customer returns an order.
 *
 * - `damaged`: it arrived damaged
 * - `defective`: it does not work
 * - `wrong_item`: another item was in the parcel
 * - `not_as_described`: it differs from its description
 * - `arrived_late`: it arrived too late to be of use
 * - `unwanted`: the customer does not want it, which needs no further reason
 * - `other`: something else
 */
export type ReturnReason = "arrived_late" | "damaged" | "defective" | "not_as_described" | "other" | "unwanted" | "wrong_item";

/**
 * The envelope, in the JSON format of CloudEvents 1.0 (structured mode).
 *
 * https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
 */
export interface Envelope<Source extends string, Type extends string, Data> {
  readonly specversion: "1.0";
  /** Tells events of one source apart: a second one with it is a duplicate */
  readonly id: string;
  /** The context that publishes it */
  readonly source: Source;
  /** The event and its major version */
  readonly type: Type;
  /**
   * When it happened
   * @format date-time
   */
  readonly time: string;
  /** Id of what it happened to */
  readonly subject: string;
  readonly datacontenttype?: "application/json";
  /** The request that all of it began with */
  readonly correlationid: string;
  /** Id of the event that it follows from, if any */
  readonly causationid?: string | null;
  /** The type of a newer version in which the same fact, with the same id, is published, too, if it is */
  readonly supersededby?: string;
  /** The span that published it, as in W3C Trace Context, if there is one */
  readonly traceparent?: string;
  /** True if it follows from a test of the deployed system */
  readonly synthetic?: boolean;
  readonly data: Data;
}

/** The provider is about to release the amount, and the parcel has not left. */
export interface AuthorizationExpiringV1 {
  /** Order that is paid */
  readonly order_id: string;
  /**
   * The whole amount, in minor units
   * @minimum 0
   * @maximum 1000000000000
   */
  readonly amount_minor: number;
  readonly currency: Currency;
  readonly authorized_until: Until;
}

/** AuthorizationExpiring.v1 in its envelope. */
export type AuthorizationExpiringV1Event =
  Envelope<"orderflow.payments", "AuthorizationExpiring.v1", AuthorizationExpiringV1>;

/** The shop has no personal data of the customer any more. Systems outside should follow. */
export interface CustomerErasedV1 {
  readonly customer_id: CustomerId;
  /** The request */
  readonly erasure_id: string;
  /** What each context erased */
  readonly erased: readonly Erased[];
}

/** CustomerErased.v1 in its envelope. */
export type CustomerErasedV1Event =
  Envelope<"orderflow.privacy", "CustomerErased.v1", CustomerErasedV1>;

/** The bank decided about a dispute. */
export interface DisputeClosedV1 {
  /** Order that is paid */
  readonly order_id: string;
  /**
   * The whole amount, in minor units
   * @minimum 0
   * @maximum 1000000000000
   */
  readonly amount_minor: number;
  readonly currency: Currency;
  readonly dispute_id: DisputeId;
  /** Whether the shop keeps the money */
  readonly won: boolean;
}

/** DisputeClosed.v1 in its envelope. */
export type DisputeClosedV1Event =
  Envelope<"orderflow.payments", "DisputeClosed.v1", DisputeClosedV1>;

/** Nothing was erased. The customer may request it again when the reason has passed. */
export interface ErasureRefusedV1 {
  readonly customer_id: CustomerId;
  /** The request */
  readonly erasure_id: string;
  /** A code */
  readonly reason: string;
}

/** ErasureRefused.v1 in its envelope. */
export type ErasureRefusedV1Event =
  Envelope<"orderflow.privacy", "ErasureRefused.v1", ErasureRefusedV1>;

/** A customer, or staff on their behalf, requested the erasure of all personal data. */
export interface ErasureRequestedV1 {
  readonly customer_id: CustomerId;
  /** The request */
  readonly erasure_id: string;
}

/** ErasureRequested.v1 in its envelope. */
export type ErasureRequestedV1Event =
  Envelope<"orderflow.privacy", "ErasureRequested.v1", ErasureRequestedV1>;

/** A unit of an item has a new cost. Of two, the one with the higher revision is newer. */
export interface ItemCostedV1 {
  readonly sku: Sku;
  readonly unit_cost_minor: UnitCost;
  readonly currency: Currency;
  /**
   * Counts the item's costs
   * @minimum 1
   */
  readonly revision: number;
}

/** ItemCosted.v1 in its envelope. */
export type ItemCostedV1Event =
  Envelope<"orderflow.inventory", "ItemCosted.v1", ItemCostedV1>;

/** An item has a new price. Of two prices, the one with the higher revision is newer. */
export interface ItemPricedV1 {
  readonly sku: Sku;
  readonly unit_price_minor: Minor;
  readonly currency: Currency;
  /**
   * Counts the item's prices
   * @minimum 1
   */
  readonly revision: number;
}

/** ItemPriced.v1 in its envelope. */
export type ItemPricedV1Event =
  Envelope<"orderflow.inventory", "ItemPriced.v1", ItemPricedV1>;

/**
 * A customer is to be notified about an order, on each of these channels.
 *
 * It names the customer but no address: addresses stay in this context.
 */
export interface NotificationRequestedV1 {
  /** Order that the message is about */
  readonly order_id: string;
  /** The customer to notify */
  readonly customer_id: string;
  /** Name of the event to notify about */
  readonly occasion: string;
  /** What the message's template needs */
  readonly facts: { readonly [key: string]: string };
  /**
   * Each way that the customer chose
   * @minItems 1
   */
  readonly channels: readonly Channel[];
}

/** NotificationRequested.v1 in its envelope. */
export type NotificationRequestedV1Event =
  Envelope<"orderflow.notifications", "NotificationRequested.v1", NotificationRequestedV1>;

/**
 * The customer or the shop cancelled the order. Contexts release what they hold for it.
 *
 * The units of an order that was confirmed are not released before shipping has its parcel.
 */
export interface OrderCancelledV1 {
  readonly order_id: OrderId;
  readonly customer_id: CustomerId;
  /** Whether it was confirmed before: a parcel may be on its way */
  readonly confirmed?: boolean;
}

/** OrderCancelled.v1 in its envelope. */
export type OrderCancelledV1Event =
  Envelope<"orderflow.orders", "OrderCancelled.v1", OrderCancelledV1>;

/**
 * Stock is reserved and payment authorized: the order can be shipped.
 *
 * The vault has its address.
 */
export interface OrderConfirmedV2 {
  readonly order_id: OrderId;
  readonly customer_id: CustomerId;
  readonly currency: Currency;
  readonly total_minor: TotalMinor;
  /** The ordered items */
  readonly lines: readonly Line[];
}

/** OrderConfirmed.v2 in its envelope. */
export type OrderConfirmedV2Event =
  Envelope<"orderflow.orders", "OrderConfirmed.v2", OrderConfirmedV2>;

/** The customer has the parcel. */
export interface OrderDeliveredV1 {
  /** Order that is shipped */
  readonly order_id: string;
}

/** OrderDelivered.v1 in its envelope. */
export type OrderDeliveredV1Event =
  Envelope<"orderflow.shipping", "OrderDelivered.v1", OrderDeliveredV1>;

/** Checkout did not end in time. Contexts release what they hold for the order. */
export interface OrderExpiredV1 {
  readonly order_id: OrderId;
  readonly customer_id: CustomerId;
}

/** OrderExpired.v1 in its envelope. */
export type OrderExpiredV1Event =
  Envelope<"orderflow.orders", "OrderExpired.v1", OrderExpiredV1>;

/**
 * A customer placed an order at current prices.
 *
 * The vault has its address and its means of payment.
 */
export interface OrderPlacedV2 {
  readonly order_id: OrderId;
  readonly customer_id: CustomerId;
  readonly currency: Currency;
  readonly total_minor: TotalMinor;
  /**
   * The ordered items
   * @minItems 1
   * @maxItems 200
   */
  readonly lines: readonly Line[];
}

/** OrderPlaced.v2 in its envelope. */
export type OrderPlacedV2Event =
  Envelope<"orderflow.orders", "OrderPlaced.v2", OrderPlacedV2>;

/**
 * The order could not be fulfilled. Superseded: its reasons are free text.
 * @deprecated in favour of OrderRejected.v2; published until 2027-12-31
 */
export interface OrderRejectedV1 {
  readonly order_id: OrderId;
  readonly customer_id: CustomerId;
  /** A code, or the name of an error */
  readonly reason: string;
}

/** OrderRejected.v1 in its envelope. */
export type OrderRejectedV1Event =
  Envelope<"orderflow.orders", "OrderRejected.v1", OrderRejectedV1>;

/** The order could not be fulfilled. Everything that was held for it is released. */
export interface OrderRejectedV2 {
  readonly order_id: OrderId;
  readonly customer_id: CustomerId;
  readonly reason: RejectionReason;
}

/** OrderRejected.v2 in its envelope. */
export type OrderRejectedV2Event =
  Envelope<"orderflow.orders", "OrderRejected.v2", OrderRejectedV2>;

/** The customer is refunded, and the units are for sale again. */
export interface OrderReturnedV1 {
  /** Order that comes back */
  readonly order_id: string;
  /** The customer who returns it */
  readonly customer_id: string;
}

/** OrderReturned.v1 in its envelope. */
export type OrderReturnedV1Event =
  Envelope<"orderflow.returns", "OrderReturned.v1", OrderReturnedV1>;

/** The carrier has the parcel. */
export interface OrderShippedV1 {
  /** Order that is shipped */
  readonly order_id: string;
}

/** OrderShipped.v1 in its envelope. */
export type OrderShippedV1Event =
  Envelope<"orderflow.shipping", "OrderShipped.v1", OrderShippedV1>;

/** The provider holds the amount for the shop. */
export interface PaymentAuthorizedV1 {
  /** Order that is paid */
  readonly order_id: string;
  /**
   * The whole amount, in minor units
   * @minimum 0
   * @maximum 1000000000000
   */
  readonly amount_minor: number;
  readonly currency: Currency;
  readonly authorized_until?: Until;
}

/** PaymentAuthorized.v1 in its envelope. */
export type PaymentAuthorizedV1Event =
  Envelope<"orderflow.payments", "PaymentAuthorized.v1", PaymentAuthorizedV1>;

/** The parcel left, and the shop has the money. */
export interface PaymentCapturedV1 {
  /** Order that is paid */
  readonly order_id: string;
  /**
   * The whole amount, in minor units
   * @minimum 0
   * @maximum 1000000000000
   */
  readonly amount_minor: number;
  readonly currency: Currency;
}

/** PaymentCaptured.v1 in its envelope. */
export type PaymentCapturedV1Event =
  Envelope<"orderflow.payments", "PaymentCaptured.v1", PaymentCapturedV1>;

/** The provider declined the payment. */
export interface PaymentDeclinedV1 {
  /** Order that is paid */
  readonly order_id: string;
  /**
   * The whole amount, in minor units
   * @minimum 0
   * @maximum 1000000000000
   */
  readonly amount_minor: number;
  readonly currency: Currency;
  readonly reason?: DeclineReason;
}

/** PaymentDeclined.v1 in its envelope. */
export type PaymentDeclinedV1Event =
  Envelope<"orderflow.payments", "PaymentDeclined.v1", PaymentDeclinedV1>;

/** The customer disputes the payment at the bank, and the provider takes the money back. */
export interface PaymentDisputedV1 {
  /** Order that is paid */
  readonly order_id: string;
  /**
   * The whole amount, in minor units
   * @minimum 0
   * @maximum 1000000000000
   */
  readonly amount_minor: number;
  readonly currency: Currency;
  readonly dispute_id: DisputeId;
  /**
   * The disputed amount, in minor units
   * @minimum 0
   * @maximum 1000000000000
   */
  readonly disputed_minor: number;
}

/** PaymentDisputed.v1 in its envelope. */
export type PaymentDisputedV1Event =
  Envelope<"orderflow.payments", "PaymentDisputed.v1", PaymentDisputedV1>;

/** The customer has the whole amount back. */
export interface PaymentRefundedV1 {
  /** Order that is paid */
  readonly order_id: string;
  /**
   * The whole amount, in minor units
   * @minimum 0
   * @maximum 1000000000000
   */
  readonly amount_minor: number;
  readonly currency: Currency;
}

/** PaymentRefunded.v1 in its envelope. */
export type PaymentRefundedV1Event =
  Envelope<"orderflow.payments", "PaymentRefunded.v1", PaymentRefundedV1>;

/** The provider no longer holds the amount. The shop never had it. */
export interface PaymentReleasedV1 {
  /** Order that is paid */
  readonly order_id: string;
  /**
   * The whole amount, in minor units
   * @minimum 0
   * @maximum 1000000000000
   */
  readonly amount_minor: number;
  readonly currency: Currency;
}

/** PaymentReleased.v1 in its envelope. */
export type PaymentReleasedV1Event =
  Envelope<"orderflow.payments", "PaymentReleased.v1", PaymentReleasedV1>;

/** The parcel left, and the provider no longer holds the money. A person has to decide. */
export interface PaymentUncollectedV1 {
  /** Order that is paid */
  readonly order_id: string;
  /**
   * The whole amount, in minor units
   * @minimum 0
   * @maximum 1000000000000
   */
  readonly amount_minor: number;
  readonly currency: Currency;
}

/** PaymentUncollected.v1 in its envelope. */
export type PaymentUncollectedV1Event =
  Envelope<"orderflow.payments", "PaymentUncollected.v1", PaymentUncollectedV1>;

/** A refund did not reach the customer: the shop has the money again. A person has to act. */
export interface RefundFailedV1 {
  /** Order that is paid */
  readonly order_id: string;
  /**
   * The whole amount, in minor units
   * @minimum 0
   * @maximum 1000000000000
   */
  readonly amount_minor: number;
  readonly currency: Currency;
  /** The provider's id of the refund */
  readonly refund_id: string;
  /**
   * The amount of the refund, in minor units
   * @minimum 0
   * @maximum 1000000000000
   */
  readonly failed_minor: number;
  /** The provider's reason */
  readonly failure: string;
}

/** RefundFailed.v1 in its envelope. */
export type RefundFailedV1Event =
  Envelope<"orderflow.payments", "RefundFailed.v1", RefundFailedV1>;

/** Staff refunded a part or all of a payment at the provider, outside the shop. */
export interface RefundNoticedV1 {
  /** Order that is paid */
  readonly order_id: string;
  /**
   * The whole amount, in minor units
   * @minimum 0
   * @maximum 1000000000000
   */
  readonly amount_minor: number;
  readonly currency: Currency;
  /**
   * All that was refunded until now, in minor units
   * @minimum 0
   * @maximum 1000000000000
   */
  readonly refunded_minor: number;
}

/** RefundNoticed.v1 in its envelope. */
export type RefundNoticedV1Event =
  Envelope<"orderflow.payments", "RefundNoticed.v1", RefundNoticedV1>;

/**
 * A staff member decided about a return. Superseded: its note can be free text.
 * @deprecated in favour of ReturnDecided.v2; published until 2027-12-31
 */
export interface ReturnDecidedV1 {
  /** Order that comes back */
  readonly order_id: string;
  /** The customer who returns it */
  readonly customer_id: string;
  readonly approved: Approved;
  readonly note: Words;
}

/** ReturnDecided.v1 in its envelope. */
export type ReturnDecidedV1Event =
  Envelope<"orderflow.returns", "ReturnDecided.v1", ReturnDecidedV1>;

/** A staff member decided about a return. */
export interface ReturnDecidedV2 {
  /** Order that comes back */
  readonly order_id: string;
  /** The customer who returns it */
  readonly customer_id: string;
  readonly approved: Approved;
  /** Why not; null if the shop takes it back */
  readonly reason?: RefusalReason | null;
}

/** ReturnDecided.v2 in its envelope. */
export type ReturnDecidedV2Event =
  Envelope<"orderflow.returns", "ReturnDecided.v2", ReturnDecidedV2>;

/**
 * The shop does not take the order back. Superseded: its reason can be free text.
 * @deprecated in favour of ReturnRefused.v2; published until 2027-12-31
 */
export interface ReturnRefusedV1 {
  /** Order that comes back */
  readonly order_id: string;
  /** The customer who returns it */
  readonly customer_id: string;
  readonly reason: Words;
}

/** ReturnRefused.v1 in its envelope. */
export type ReturnRefusedV1Event =
  Envelope<"orderflow.returns", "ReturnRefused.v1", ReturnRefusedV1>;

/** The shop does not take the order back. */
export interface ReturnRefusedV2 {
  /** Order that comes back */
  readonly order_id: string;
  /** The customer who returns it */
  readonly customer_id: string;
  readonly reason: RefusalReason;
}

/** ReturnRefused.v2 in its envelope. */
export type ReturnRefusedV2Event =
  Envelope<"orderflow.returns", "ReturnRefused.v2", ReturnRefusedV2>;

/**
 * A customer wants to return a delivered order. Superseded: its reason can be free text.
 * @deprecated in favour of ReturnRequested.v2; published until 2027-12-31
 */
export interface ReturnRequestedV1 {
  /** Order that comes back */
  readonly order_id: string;
  /** The customer who returns it */
  readonly customer_id: string;
  readonly reason: Words;
}

/** ReturnRequested.v1 in its envelope. */
export type ReturnRequestedV1Event =
  Envelope<"orderflow.returns", "ReturnRequested.v1", ReturnRequestedV1>;

/** A customer wants to return a delivered order. */
export interface ReturnRequestedV2 {
  /** Order that comes back */
  readonly order_id: string;
  /** The customer who returns it */
  readonly customer_id: string;
  readonly reason: ReturnReason;
}

/** ReturnRequested.v2 in its envelope. */
export type ReturnRequestedV2Event =
  Envelope<"orderflow.returns", "ReturnRequested.v2", ReturnRequestedV2>;

/** The parcel was not delivered before its deadline. */
export interface ShipmentOverdueV1 {
  /** Order that is shipped */
  readonly order_id: string;
  readonly due_at: Deadline;
}

/** ShipmentOverdue.v1 in its envelope. */
export type ShipmentOverdueV1Event =
  Envelope<"orderflow.shipping", "ShipmentOverdue.v1", ShipmentOverdueV1>;

/** A confirmed order was cancelled: the carrier takes no parcel, or brings it back. */
export interface ShipmentRecalledV1 {
  /** Order that is shipped */
  readonly order_id: string;
  /** Whether OrderShipped was published: then the parcel has to come back */
  readonly picked_up?: boolean;
}

/** ShipmentRecalled.v1 in its envelope. */
export type ShipmentRecalledV1Event =
  Envelope<"orderflow.shipping", "ShipmentRecalled.v1", ShipmentRecalledV1>;

/** The carrier agreed to deliver the parcel in time. */
export interface ShipmentRequestedV1 {
  /** Order that is shipped */
  readonly order_id: string;
  /** The carrier's id of the parcel */
  readonly tracking_id: string;
  readonly due_at: Deadline;
}

/** ShipmentRequested.v1 in its envelope. */
export type ShipmentRequestedV1Event =
  Envelope<"orderflow.shipping", "ShipmentRequested.v1", ShipmentRequestedV1>;

/** The last unit of an item that was for sale is reserved for an order. */
export interface StockDepletedV1 {
  readonly sku: Sku;
}

/** StockDepleted.v1 in its envelope. */
export type StockDepletedV1Event =
  Envelope<"orderflow.inventory", "StockDepleted.v1", StockDepletedV1>;

/** The units of an order have left the shelf: the carrier has the parcel. */
export interface StockIssuedV1 {
  /** Order for which the units are reserved */
  readonly order_id: string;
  /** Each item once */
  readonly items: readonly Reserved[];
}

/** StockIssued.v1 in its envelope. */
export type StockIssuedV1Event =
  Envelope<"orderflow.inventory", "StockIssued.v1", StockIssuedV1>;

/** The units that were reserved for an order, or issued, are for sale again. */
export interface StockReleasedV1 {
  /** Order for which the units are reserved */
  readonly order_id: string;
  /** Each item once */
  readonly items: readonly Reserved[];
}

/** StockReleased.v1 in its envelope. */
export type StockReleasedV1Event =
  Envelope<"orderflow.inventory", "StockReleased.v1", StockReleasedV1>;

/** Units of an item arrived. */
export interface StockReplenishedV1 {
  readonly sku: Sku;
  /**
   * Units that arrived
   * @minimum 1
   */
  readonly quantity: number;
}

/** StockReplenished.v1 in its envelope. */
export type StockReplenishedV1Event =
  Envelope<"orderflow.inventory", "StockReplenished.v1", StockReplenishedV1>;

/** All units of an order are reserved for it. */
export interface StockReservedV1 {
  /** Order for which the units are reserved */
  readonly order_id: string;
  /** Each item once */
  readonly items: readonly Reserved[];
}

/** StockReserved.v1 in its envelope. */
export type StockReservedV1Event =
  Envelope<"orderflow.inventory", "StockReserved.v1", StockReservedV1>;

/** Any event that the shop publishes. Its `type` tells them apart. */
export type ShopEvent =
  | AuthorizationExpiringV1Event
  | CustomerErasedV1Event
  | DisputeClosedV1Event
  | ErasureRefusedV1Event
  | ErasureRequestedV1Event
  | ItemCostedV1Event
  | ItemPricedV1Event
  | NotificationRequestedV1Event
  | OrderCancelledV1Event
  | OrderConfirmedV2Event
  | OrderDeliveredV1Event
  | OrderExpiredV1Event
  | OrderPlacedV2Event
  | OrderRejectedV1Event
  | OrderRejectedV2Event
  | OrderReturnedV1Event
  | OrderShippedV1Event
  | PaymentAuthorizedV1Event
  | PaymentCapturedV1Event
  | PaymentDeclinedV1Event
  | PaymentDisputedV1Event
  | PaymentRefundedV1Event
  | PaymentReleasedV1Event
  | PaymentUncollectedV1Event
  | RefundFailedV1Event
  | RefundNoticedV1Event
  | ReturnDecidedV1Event
  | ReturnDecidedV2Event
  | ReturnRefusedV1Event
  | ReturnRefusedV2Event
  | ReturnRequestedV1Event
  | ReturnRequestedV2Event
  | ShipmentOverdueV1Event
  | ShipmentRecalledV1Event
  | ShipmentRequestedV1Event
  | StockDepletedV1Event
  | StockIssuedV1Event
  | StockReleasedV1Event
  | StockReplenishedV1Event
  | StockReservedV1Event;

/** The types of all events. */
export type EventType = ShopEvent["type"];

/** The event of a type, as in `EventOf<"AuthorizationExpiring.v1">`. */
export type EventOf<Type extends EventType> = Extract<ShopEvent, { type: Type }>;

/** What a target of a rule on the bus receives. */
export interface BusMessage<E extends ShopEvent = ShopEvent> {
  readonly version: "0";
  readonly id: string;
  readonly "detail-type": E["type"];
  readonly source: E["source"];
  readonly account: string;
  readonly time: string;
  readonly region: string;
  readonly resources: readonly string[];
  readonly detail: E;
}
