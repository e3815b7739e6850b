"""The tally: what went over each hop, counted out of the records as they come."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from cdk_rehearsal import Record
from tools.demo.customers import Answer
from tools.demo.story import words


@dataclass(frozen=True)
class Hop:
    """A row of the account: functions, and the queues that bring them their work."""

    kind: str
    name: str
    functions: tuple[str, ...]
    queues: tuple[str, ...] = ()
    parkings: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()


def _consumers(kind: str, name: str, *paths: str) -> Hop:
    """A row for consumers of queues."""
    return Hop(
        kind,
        name,
        tuple(f"{path}/Function" for path in paths),
        tuple(f"{path}/Queue" for path in paths),
        tuple(f"{path}/DeadLetters" for path in paths),
    )


_RELAYS = (
    *("Orders/Orders", "Inventory/Stock", "Payments/Payments", "Shipping/Shipments"),
    *("Returns/Returns", "Notifications/Customers"),
)
_RETURNS = ("AwaitDecision", "CompleteReturn", "RefuseReturn", "EscalateReturn")

HOPS = (
    _consumers("file", "bucket → import stock", "Inventory/ImportStockFile"),
    Hop("api", "POST /orders", ("Orders/PlaceOrder",), methods=("POST",)),
    Hop(
        "",
        "GET, DELETE /orders/…",
        ("Orders/GetOrder", "Orders/CancelOrder"),
        methods=("GET", "DELETE"),
    ),
    Hop(
        "",
        "activity, call-backs",
        ("Analytics/RecordActivity", "Shipping/TakeCarrierEvent"),
    ),
    Hop("relay", "six outboxes → bus", tuple(f"{path}/Relay" for path in _RELAYS)),
    _consumers("queue", "bus → price list", "Orders/KeepPriceList"),
    _consumers("", "bus → checkout", "Checkout/RunCheckout"),
    _consumers("", "bus → shipping", "Shipping/RequestShipment", "Shipping/RecallShipment"),
    _consumers(
        "",
        "bus → let go of order",
        "Inventory/ReleaseClosedOrder",
        "Payments/RefundClosedOrder",
    ),
    _consumers("", "bus → order's history", "Orders/FollowShipment", "Orders/FollowReturn"),
    _consumers("", "bus → preferences", "Notifications/AddressCustomer"),
    Hop("step", "reserve stock", ("Inventory/ReserveStock",)),
    Hop("", "authorize payment", ("Payments/AuthorizePayment",)),
    Hop("", "confirm, reject order", ("Orders/ConfirmOrder", "Orders/RejectOrder")),
    Hop("", "refund, release", ("Payments/RefundPayment", "Inventory/ReleaseStock")),
    Hop("", "steps of returns", tuple(f"Returns/{name}" for name in _RETURNS)),
    _consumers("topic", "→ e-mail, SMS", "Notifications/SendEmail", "Notifications/SendSms"),
    _consumers("", "→ webhook", "Notifications/CallWebhook"),
    Hop(
        "stream",
        "→ sales per minute",
        ("Analytics/AggregateSales/Function",),
        parkings=("Analytics/AggregateSales/DeadLetters",),
    ),
)
"""The way of an order, from the supplier and the customer to its end, on one screen."""


@dataclass
class Tally:
    """Counts since the beginning."""

    invocations: Counter[str] = field(default_factory=Counter)
    """By function."""
    errors: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """By function and name of the error."""
    answers: defaultdict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    """By HTTP method and status; how others were turned away is in here, too."""
    published: Counter[str] = field(default_factory=Counter)
    """Events by relay."""
    failed: Counter[str] = field(default_factory=Counter)
    """Messages that were not handled and come again, by function."""

    def heard(self, answer: Answer) -> None:
        """Counts an answer of the API."""
        self.answers[answer.request][answer.status] += 1

    def seen(self, record: Record) -> None:
        """Counts a record of the rehearsal."""
        if record.kind == "invocation":
            self.invocations[record.target] += 1
            if error := record.detail["error"]:
                self.errors[record.target][error["errorType"]] += 1
        elif record.kind == "published":
            self.published[record.source] += 1
        elif record.kind == "delivery" and record.detail.get("failed"):
            self.failed[record.target] += len(record.detail["failed"])

    def calls(self, hop: Hop) -> int:
        """How often the functions of a hop were called."""
        return sum(self.invocations[function] for function in hop.functions)

    def good(self, hop: Hop) -> str:
        """What came of the work of a hop as it should, in a few words."""
        if hop.methods:
            answers = sum((self.answers[method] for method in hop.methods), Counter[int]())
            return "  ".join(f"{status}: {count:,}" for status, count in sorted(answers.items()))
        if hop.functions[0].endswith("/Relay"):
            return f"{sum(self.published[function] for function in hop.functions):,} events"
        failed = sum(self.errors[function].total() for function in hop.functions)
        return f"{self.calls(hop) - failed:,} done"

    def bad(self, hop: Hop) -> list[str]:
        """What else came of it: errors, without the words that the hop's name has already."""
        errors = sum((self.errors[function] for function in hop.functions), Counter[str]())
        said = [f"{count:,} {_without(words(name), hop.name)}" for name, count in errors.items()]
        again = sum(self.failed[function] for function in hop.functions)
        return [*sorted(said), *([f"{again:,} come again"] if again else [])]


def _without(text: str, known: str) -> str:
    rest = [word for word in text.split() if word not in known.split()]
    return " ".join(rest) or text
