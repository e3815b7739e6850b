"""The fault kinds by name, and the sites at which each can occur."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from cdk_rehearsal import FAULTS, Fault, FaultSite, inject, misfit
from lambdas.notifications.events import Channel
from tools.faults import injection
from tools.faults.shop import RehearsedShop

_ERASED = "the customer's data are erased before the host answers again"

_EXCEPTIONS: dict[tuple[str, str], str] = {
    ("impossible", "Orders/SweepOrders/Queue"): "the message names nothing that could be missing",
    (
        "impossible",
        "Payments/SweepPayments/Queue",
    ): "the message names nothing that could be missing",
    (
        "impossible",
        "Orders/KeepPriceList/Queue",
    ): "the list copies each price: an event about an unknown item adds it",
    (
        "impossible",
        "Analytics/Activity",
    ): "analytics knows neither orders nor items: it counts each sale that it hears of",
    (
        "lost",
        "Payments/SweepPayments/Schedule",
    ): "the next sweep finds what a lost sweep would find",
    (
        "lost",
        "Orders/SweepOrders/Schedule",
    ): "the next sweep finds what a lost sweep would find",
    (
        "lost",
        "Orders/PlaceCanary/Schedule",
    ): "no order of a customer is concerned, and the alarm CanaryOverdue tells",
    ("host-down", "POST hooks.partner.example/leaver-again"): _ERASED,
    ("host-mute", "POST hooks.partner.example/leaver-again"): _ERASED,
}
"""The reasons why a fault has no effect at a source or operation."""

CALLBACKS = frozenset({"Payments/TakeProviderEvent", "Shipping/TakeCarrierEvent"})
"""The functions of the routes whose callers sign their requests."""

_ROUTES = ("rule", "subscriber")
"""The kinds of sites at which a bus delivers."""

_BEFORE_PARTNERS = (
    "Checkout/RunCheckout/",
    "Payments/CapturePayment/",
    "Payments/RefundClosedOrder/",
    "Returns/StartReturn/",
    "Shipping/RecallShipment/",
    "Shipping/RequestShipment/",
)
"""Where events lead to calls of the payment provider or the carrier."""

# E-mail and SMS have no idempotency key: a crash between sending and recording sends again.
_SENDERS = frozenset({Channel.EMAIL, Channel.SMS})


@dataclass(frozen=True)
class FaultKind:
    """A kind of fault: how it begins at a site, and how it ends once its cause is gone."""

    name: str
    says: str
    begin: Callable[[RehearsedShop, FaultSite], None]
    misfit: Callable[[FaultSite], str | None]
    """Returns why the fault cannot occur at a site, or None if it can."""
    end: Callable[[RehearsedShop, FaultSite], None] = injection.nothing
    repeats: frozenset[Channel] = frozenset()
    """Channels on which the fault may repeat a message to a customer."""
    injected: Fault | None = None
    """The rehearsal's fault, which records when it acts."""
    later: bool = False
    """Whether the fault begins only after the scenario went well."""
    rejects: bool = False
    """Whether checkout may refuse an order, because its payment cannot be authorized."""
    refused: bool = False
    """Whether the API has to answer each request under the fault with 401."""
    control: bool = False
    """Whether the fault loses something for good. The audit must detect the loss."""

    def reason_against(self, site: FaultSite) -> str | None:
        """Returns why the fault cannot occur at a site, or None if it can."""
        places = (site.source, site.operation)
        known = (_EXCEPTIONS.get((self.name, place)) for place in places)
        return self.misfit(site) or next(filter(None, known), None)


def injected(fault: Fault, **options: Any) -> FaultKind:
    """Returns the kind for a fault of the rehearsal."""

    def begin(shop: RehearsedShop, site: FaultSite) -> None:
        inject(shop.rehearsal.faults, fault, site)

    options = {"misfit": partial(misfit, fault), **options}
    return FaultKind(fault.name, fault.says, begin, injected=fault, **options)


def _injected(*names: str, **options: Any) -> list[FaultKind]:
    return [injected(FAULTS[name], **options) for name in names]


def _not_polled(site: FaultSite) -> str | None:
    return None if site.polled else "no poller runs here"


def _no_rule(site: FaultSite) -> str | None:
    return None if site.kind in _ROUTES else "only rules and subscribers receive replays"


def _no_rule_before_partners(site: FaultSite) -> str | None:
    if site.kind in _ROUTES and not site.source.startswith(_BEFORE_PARTNERS):
        return "the event leads to no call of the payment provider or the carrier"
    return _no_rule(site)


def _no_change(site: FaultSite) -> str | None:
    if site.operation.startswith("GET "):
        return "this request changes nothing at the host"
    return misfit(FAULTS["host-mute"], site)


def _no_callback(site: FaultSite) -> str | None:
    return None if site.target in CALLBACKS else "no caller signs its requests here"


def _no_handler(site: FaultSite) -> str | None:
    return None if site.invokes else "no function runs here"


def _no_foreign_messages(site: FaultSite) -> str | None:
    if not site.polled:
        return "only messages that match the rule, filter or notification pass"
    if site.kind == "stream" and site.source.endswith("/Table"):
        return "only the kernel's transactions write what passes the stream's filter"
    return None


def _poison(name: str, says: str, make: Callable[..., str], *, later: bool = False) -> FaultKind:
    return FaultKind(name, says, injection.poison(make), _no_foreign_messages, later=later)


_FORGED = Fault(
    "forged", "forgeries arrive in place of a signed request", "request", injection.forge
)
_LOST = Fault("lost", "never arrives: the audit must detect it", "way", lambda random: (), None)

_ALL = (
    *_injected("sent-twice"),
    *_injected("sent-late", misfit=_no_callback, refused=True),
    injected(_FORGED, misfit=_no_callback, refused=True),
    *_injected("duplicate", "late", "overtaken", "refused", "unavailable", "gone"),
    FaultKind(
        "replayed",
        "all retained events are delivered again",
        injection.replay,
        _no_rule,
        later=True,
    ),
    FaultKind(
        "month-later",
        "the archive is replayed after 30 days",
        injection.replay_after_a_month,
        _no_rule_before_partners,
        later=True,
    ),
    *_injected("shuffled", "early", "undeleted"),
    FaultKind("down", "the poller is down for three hours", injection.pause, _not_polled),
    _poison("not-json", "a message that is not JSON", injection.no_json),
    _poison("wrong-schema", "JSON of another schema", injection.another_schema),
    _poison("impossible", "an event about an unknown thing", injection.impossible, later=True),
    _poison("too-large", "a message of the largest size", injection.too_large),
    *_injected("throttled", "raises", "dies", "raises-on", "dies-on"),
    *_injected("hangs", misfit=_no_handler, repeats=_SENDERS),
    *_injected("fast", "slow"),
    *_injected("call-throttled", "call-lost", "call-fails", "call-denied", repeats=_SENDERS),
    *_injected("conflict", repeats=_SENDERS),
    *_injected("partial"),
    *_injected("host-silent", "host-lost", "host-limits", "host-fails"),
    *_injected("host-down", end=injection.wait_for_weeks, rejects=True),
    FaultKind(
        "host-mute",
        "a host outside AWS acts and answers no more; the redrive comes 30 days later",
        injection.mute,
        _no_change,
        injection.wait_for_a_month,
        injected=FAULTS["host-mute"],
        rejects=True,
    ),
    *_injected("host-breaks", "host-garbles", "impostor"),
    injected(_LOST, control=True),
)
KINDS = {kind.name: kind for kind in _ALL}
"""The fault kinds by name."""
