"""The hops of an order, and the counts of what passes each."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from cdk_rehearsal import Record
from tools.demo.customers import ApiAnswer
from tools.demo.evidence import is_synthetic
from tools.demo.timeline import words


@dataclass(frozen=True)
class Hop:
    """A row of the live table: functions, and the queues in front of them."""

    kind: str
    name: str
    functions: tuple[str, ...]
    queues: tuple[str, ...] = ()
    dead_letter_queues: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()


def _consumers(kind: str, name: str, *paths: str) -> Hop:
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
        "activity, callbacks",
        ("Analytics/RecordActivity", "Shipping/TakeCarrierEvent"),
    ),
    Hop("relay", "six outboxes → bus", tuple(f"{path}/Relay" for path in _RELAYS)),
    _consumers("queue", "bus → prices", "Inventory/RepriceItem", "Orders/KeepPriceList"),
    _consumers("", "bus → checkout", "Checkout/RunCheckout"),
    _consumers("", "bus → shipping", "Shipping/RequestShipment", "Shipping/RecallShipment"),
    _consumers(
        "",
        "bus → stock, refunds",
        "Inventory/IssueStock",
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
        dead_letter_queues=("Analytics/AggregateSales/DeadLetters",),
    ),
)
"""The hops in the order in which an order passes them. They fit on one screen."""


@dataclass
class HopCounts:
    """Counts of records and answers, by function unless stated otherwise."""

    invocations: Counter[str] = field(default_factory=Counter)
    errors: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """Errors by function and name."""
    answers: defaultdict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    """Answers of the API by method and status."""
    published: Counter[str] = field(default_factory=Counter)
    """Events by relay."""
    failed: Counter[str] = field(default_factory=Counter)
    """Messages that failed and will be received again."""

    def on_answer(self, answer: ApiAnswer) -> None:
        """Counts an answer of the API."""
        self.answers[answer.request][answer.status] += 1

    def on_record(self, record: Record) -> None:
        """Counts a record of the rehearsal."""
        if record.kind == "invocation":
            self.invocations[record.target] += 1
            if error := record.detail["error"]:
                self.errors[record.target][error["errorType"]] += 1
        elif record.kind == "published":
            self.published[record.source] += not is_synthetic(record.detail["event"]["detail"])
        elif record.kind == "delivery" and record.detail.get("failed"):
            self.failed[record.target] += len(record.detail["failed"])

    def calls(self, hop: Hop) -> int:
        """Returns how often the functions of a hop were called."""
        return sum(self.invocations[function] for function in hop.functions)

    def successes(self, hop: Hop) -> str:
        """Describes the successful calls of a hop."""
        if hop.methods:
            answers = sum((self.answers[method] for method in hop.methods), Counter[int]())
            return "  ".join(f"{status}: {count:,}" for status, count in sorted(answers.items()))
        if hop.functions[0].endswith("/Relay"):
            return f"{sum(self.published[function] for function in hop.functions):,} events"
        failed = sum(self.errors[function].total() for function in hop.functions)
        return f"{self.calls(hop) - failed:,} done"

    def failures(self, hop: Hop) -> list[str]:
        """Describes the failed calls of a hop. Leaves out words that are in the hop's name."""
        errors = sum((self.errors[function] for function in hop.functions), Counter[str]())
        texts = [f"{count:,} {_without(words(name), hop.name)}" for name, count in errors.items()]
        again = sum(self.failed[function] for function in hop.functions)
        return [*sorted(texts), *([f"{again:,} come again"] if again else [])]


def _without(text: str, known: str) -> str:
    rest = [word for word in text.split() if word not in known.split()]
    return " ".join(rest) or text
