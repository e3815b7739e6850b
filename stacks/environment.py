"""The stages, and all differences between them."""

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from lambdas.shipping.settings import Dispatch

# Importing the CDK starts Node.js. Most tests and commands only read stages.
if TYPE_CHECKING:
    from aws_cdk import RemovalPolicy
    from aws_cdk.aws_logs import RetentionDays

QUEUE_DAYS = 4
"""How long a message waits for its consumer."""
DEAD_LETTER_DAYS = 14
"""How long a parked message is kept: the maximum of SQS.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html"""


PaymentProvider = Literal["stripe", "sandbox"]
Carrier = Literal["easypost", "sandbox"]

BusKind = Literal["classic", "custom", "migrating"]
"""AWS's *Custom Event Bus - Classic*, with rules, or *Custom Event Bus*, with subscribers.

A stage that moves from one to the other has both: docs/how-to/move-to-the-custom-bus.md.
"""

Shift = Literal["in-place", "at-once", "gradual"]
"""How a deployment moves the traffic to new code and workflows.

`"in-place"` replaces them all at once: there are no versions. The other two have versions and
aliases. `"gradual"` gives a new version a tenth of the traffic first, and rolls back if an alarm
fires; `"at-once"` is for an emergency in such a stage: docs/how-to/deploy.md.
"""

SANDBOX = "sandbox"
"""A provider or carrier for trials, which charges and ships nothing."""


REQUESTS_PER_PAYMENT = 5.25
"""The requests to Stripe that an order takes, refunds included: `make load` measures it."""


_RATES = (
    "orders_per_second",
    "orders_per_day",
    "usd_per_month",
    "emails_per_second",
    "sms_per_second",
    "stripe_requests_per_second",
)


@dataclass(frozen=True, kw_only=True)
class Supplier:
    """A supplier who may upload stock files."""

    name: str
    """The name of the supplier's folder: 1 to 31 of a-z 0-9 -, the first no hyphen."""
    account: str
    """The AWS account whose roles and users the supplier may use: 12 digits."""

    def __post_init__(self) -> None:
        """Raises ValueError for a name or an account that does not exist."""
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,30}", self.name):
            raise ValueError(
                f"supplier {self.name!r}: its name is a folder: use 1 to 31 of a-z 0-9 -"
            )
        if not re.fullmatch(r"[0-9]{12}", self.account):
            raise ValueError(
                f"supplier {self.name}: account {self.account!r} is no AWS account: give 12 digits"
            )


@dataclass(frozen=True, kw_only=True)
class Migration:
    """How far a stage has come from the classic bus to the Custom Event Bus.

    Consumers have names such as `Shipping/RequestShipment`, and producers are contexts such as
    `Shipping`. Whatever is not named here has not moved.
    """

    both: frozenset[str] = frozenset()
    """Consumers to which both buses deliver."""
    custom: frozenset[str] = frozenset()
    """Consumers to which only the Custom Event Bus delivers, and producers that publish on it."""
    finished: bool = False
    """Whether all have moved for good. The classic bus has its archive, and no rules any more."""


@dataclass(frozen=True, kw_only=True)
class Environment:
    """The settings of a stage. Everything else is the same in all stages."""

    name: str
    bus: BusKind = "custom"
    """The kind of event bus. Nothing else depends on it, except how events are delivered again.

    docs/decisions/0064-both-event-buses.md says when to choose which.
    """
    migration: Migration = Migration()
    """What has moved, if `bus` is `"migrating"`."""
    shift: Shift = "in-place"
    """How a deployment moves the traffic to new code and workflows.

    docs/decisions/0078-traffic-shifts-to-a-new-version.md says what it costs.
    """
    archive_days: int
    """How long the bus retains events, or its archive keeps them, so that they can be replayed."""
    log_days: Literal[7, 90]
    """How long log groups keep events."""
    keeps_data: bool
    """Whether tables, files, the archive and other data survive the deletion of their stack."""
    payment_provider: PaymentProvider
    """Who holds and takes the customers' money. A stage that keeps data has a real one."""
    carrier: Carrier
    """Who delivers the parcels. A stage that keeps data has a real one."""
    dispatch: Dispatch
    orders_per_second: int
    """The highest rate of orders for which the stage is sized.

    The concurrency of consumers follows from it, with a fifth to spare, and so do the limits of
    routes. With 210, all functions
    together use the 1,000 concurrent executions that an account has by default, about 250 of them
    only to wait for the workflow of checkout: docs/how-to/find-the-bottleneck.md.
    https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
    """
    orders_per_day: int
    """The orders that are expected on an average day. Only `usd_per_month` depends on it."""
    usd_per_month: int
    """The monthly budget of the account in US dollars; what exceeds it is reported as an alarm.

    `make cost ARGS="--orders-per-day N"` predicts the bill. The price of the bus is not part of it.
    """
    email_sender: str
    """The sender of e-mail to customers: an address without a display name."""
    email_identity: str | None = None
    """An existing SES identity that covers `email_sender`: the address or its domain.

    An SES identity is unique per account and region. Set this if the address is already verified
    there, by hand or by another stage. Otherwise the stage creates an identity for the address and
    deletes it with its stack. SES asks the owner of the address to confirm it once.
    https://docs.aws.amazon.com/ses/latest/dg/creating-identities.html
    """
    emails_per_second: int = 1
    """The account's rate for e-mails (1 in SES's sandbox). Faster ones wait in their queue.

    SES states it as its maximum send rate, for each account; set it after SES has raised it.
    https://docs.aws.amazon.com/ses/latest/dg/quotas.html
    """
    sms_per_second: int = 20
    """The account's rate for SMS (20 in new accounts). Faster ones wait in their queue.

    https://docs.aws.amazon.com/general/latest/gr/sns.html
    """
    stripe_requests_per_second: int = 100
    """The rate limit of the Stripe account: 100, or 25 in a sandbox. An order takes five requests.

    Orders that come faster wait in the queue of checkout. Raise it after Stripe has raised the
    limit. https://docs.stripe.com/rate-limits
    """
    sms_usd_per_month: float = 1.0
    """The account's monthly quota for SMS in US dollars (1 in new accounts)."""
    canary: bool = False
    """Whether a synthetic order is placed every half hour, with an alarm if none ends in time.

    It costs 1.42 USD a month: docs/decisions/0080-a-stage-is-tested-by-synthetic-orders.md.
    """
    alarm_email: str | None = None
    """An address to which alarms are sent."""
    customer_managed_key: bool = False
    """Whether a key of this account encrypts all stored data, instead of keys of AWS.

    Costs 1 USD per month for the key, 1 more after each of its first two yearly rotations, and
    0.03 USD per 10,000 requests to it: docs/decisions/0056-customer-managed-keys-are-a-setting.md.
    """

    suppliers: tuple[Supplier, ...] = ()
    """The suppliers who upload stock files themselves; each has a role for its own folder."""

    def __post_init__(self) -> None:
        """Raises ValueError for a setting that cannot work, or a sandbox in a real shop."""
        self._require_real_partners()
        names = [supplier.name for supplier in self.suppliers]
        if doubled := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(
                f"suppliers of stage {self.name}: {', '.join(doubled)} is there twice: "
                "name each supplier once"
            )
        for setting in _RATES:
            if getattr(self, setting) < 1:
                raise ValueError(
                    f"{setting} of stage {self.name} is {getattr(self, setting)}: "
                    "give a whole number from 1"
                )
        _, at, domain = self.email_sender.rpartition("@")
        if not at or not re.fullmatch(r"[^\s<>@]+@[^\s<>@]+", self.email_sender):
            raise ValueError(
                f"email_sender of stage {self.name} is {self.email_sender!r}: give the address "
                "alone, such as orders@shop.example"
            )
        identity = self.email_identity
        covers = identity in (None, self.email_sender, domain) or f".{domain}".endswith(
            f".{identity}"
        )
        if not covers:
            raise ValueError(
                f"email_identity of stage {self.name} is {identity!r}, which does not cover "
                f"{self.email_sender}: set it to that address or its domain, or leave it out"
            )

    def _require_real_partners(self) -> None:
        """Raises ValueError if a stage that keeps data would give goods away."""
        for setting, real in (("payment_provider", "stripe"), ("carrier", "easypost")):
            if self.keeps_data and getattr(self, setting) == SANDBOX:
                raise ValueError(
                    f"{setting} of stage {self.name} is {SANDBOX!r}, but the stage keeps data and "
                    f"so counts as a real shop: set {setting}={real!r} in stacks/environment.py"
                )

    @property
    def payments_per_second(self) -> float:
        """The orders per second for which consumers that call the payment provider are sized.

        All requests in flight have to be answered within a timeout, even by a slow provider.
        """
        if self.payment_provider == SANDBOX:
            return self.orders_per_second
        return min(self.orders_per_second, self.stripe_requests_per_second / REQUESTS_PER_PAYMENT)

    @property
    def inbox_days(self) -> int:
        """How long the inbox keeps an event, in days.

        This is longer than an event can be delivered again: from the archive, after a day on the
        bus, through the queue and its dead-letter queue, and through both again after a redrive. A
        second redrive of the same message is not covered: fix its cause first.
        """
        return self.archive_days + 1 + 2 * (QUEUE_DAYS + DEAD_LETTER_DAYS)

    @property
    def log_retention(self) -> "RetentionDays":
        """The retention of log groups, as a value of the CDK."""
        from aws_cdk.aws_logs import RetentionDays

        return {7: RetentionDays.ONE_WEEK, 90: RetentionDays.THREE_MONTHS}[self.log_days]

    @property
    def removal_policy(self) -> "RemovalPolicy":
        """The removal policy of data when their stack is deleted.

        If the creation of a stack fails, its resources are deleted: they would block the next
        attempt. https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-attribute-deletionpolicy.html
        """
        from aws_cdk import RemovalPolicy

        if self.keeps_data:
            return RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE
        return RemovalPolicy.DESTROY


_WAREHOUSE = Dispatch(
    sender_name="Orderflow",
    sender_street="Lagerstrasse 1",
    sender_postal_code="20357",
    sender_city="Hamburg",
    sender_country="DE",
    sender_phone="+49401234567",
    unit_weight_g=400,
    box_length_cm=30,
    box_width_cm=20,
    box_height_cm=15,
)

DEV = Environment(
    name="dev",
    archive_days=7,
    log_days=7,
    keeps_data=False,
    payment_provider="sandbox",
    carrier="sandbox",
    dispatch=_WAREHOUSE,
    orders_per_second=20,
    orders_per_day=100,
    usd_per_month=100,
    email_sender="orders@dev.orderflow.example",
)

PROD = Environment(
    name="prod",
    shift="gradual",
    archive_days=90,
    log_days=90,
    keeps_data=True,
    payment_provider="stripe",
    carrier="easypost",
    dispatch=_WAREHOUSE,
    orders_per_second=210,
    orders_per_day=1_000,
    usd_per_month=125,
    email_sender="orders@orderflow.example",
    emails_per_second=14,
    canary=True,
)

_ENVIRONMENTS = {environment.name: environment for environment in (DEV, PROD)}


def environment_named(
    name: str, *, bus: str | None = None, shift: str | None = None
) -> Environment:
    """Returns the stage called `name`, if need be with another kind of bus, or another shift.

    Raises ValueError that lists the stages, the kinds, or the shifts.
    """
    try:
        environment = _ENVIRONMENTS[name]
    except KeyError:
        known = ", ".join(_ENVIRONMENTS)
        raise ValueError(f"no stage {name!r}: choose one of {known} (-c stage=...)") from None
    if bus is not None:
        environment = replace(environment, bus=_one_of(BusKind, "kind of bus", "bus", bus))
    if shift is not None:
        environment = replace(environment, shift=_one_of(Shift, "shift", "shift", shift))
    return environment


def _one_of(values: Any, noun: str, option: str, given: str) -> Any:
    """Returns `given` if it is one of a literal's values. Raises ValueError."""
    if given not in get_args(values):
        known = ", ".join(get_args(values))
        raise ValueError(f"no {noun} {given!r}: choose one of {known} (-c {option}=...)")
    return given
