"""The catalogue: each kind of trouble by its name, and the places where it can happen."""

from collections.abc import Callable
from dataclasses import dataclass

from cdk_rehearsal import FAULTS, PARTIAL, Fault
from lambdas.notifications.events import Channel
from tools.faults import trouble
from tools.faults.places import SYNC, Place
from tools.faults.shop import Shop

_HOPS = ("rule", "topic", "bucket", "schedule", "scheduled")
_POLLED = ("queue", "stream")

_ORDERED = "a shard hands its records on one after the other, in their order"
_PULLED = "nothing is delivered here: the poller fetches it"
_PUSHED = "here nothing is fetched: the service delivers it"
_ASKED = "somebody waits for the answer, and asks again"
_NO_HANDLER = "no handler runs here"
_NO_CALL = "no API is called here"
_OWN_RECORDS = "only transactions of the kernel write what passes the stream's filter"
_MATCHED = "nothing passes but what matches the rule, the filter or the notification"


@dataclass(frozen=True)
class Trouble:
    """A kind of trouble: how it begins at a place, and how it ends when its cause is gone."""

    name: str
    says: str
    kinds: tuple[str, ...]
    """The kinds of places where it can happen."""
    begin: Callable[[Shop, Place], None]
    end: Callable[[Shop, Place], None] = trouble.nothing
    repeats: frozenset[Channel] = frozenset()
    """Channels on which a customer may be told twice by it."""
    operations: frozenset[str] | None = None
    """Of calls: the operations that can fail like this; None for all."""
    planned: bool = False
    """Whether it is a fault of the rehearsal, which tells when it acts."""
    later: bool = False
    """Whether it begins only after everything went well."""
    foreign: bool = False
    """Whether it is something that others put among what is delivered."""
    control: bool = False
    """Whether nothing can make good for it: then the books have to show that something is lost."""
    elsewhere: str = ""
    """Why it cannot happen at places of other kinds."""

    def reason_against(self, place: Place) -> str | None:
        """Why it cannot happen at a place; None if it can."""
        if place.kind not in self.kinds:
            return self._elsewhere(place)
        if self.foreign and place.kind == "stream" and place.source.endswith("/Table"):
            return _OWN_RECORDS
        operation = place.operation.partition(".")[2]
        if place.kind == "call" and self.operations is not None:
            return None if operation in self.operations else "it is no call of this kind"
        return trouble.EXCEPTIONS.get((self.name, place.source))

    def _elsewhere(self, place: Place) -> str:
        if self.elsewhere:
            return self.elsewhere
        if place.kind in SYNC:
            return _ASKED
        return _PULLED if place.kind in _POLLED else _PUSHED


_LOST = Fault("lost", "nothing arrives: this has to be noticed", "way", lambda random: (), None)

# E-mail and SMS take no idempotency key: who fails between sending and noting it sends again.
_SENDERS = frozenset({Channel.EMAIL, Channel.SMS})


def _of(fault: Fault, *kinds: str, **options: object) -> Trouble:
    """The trouble of a fault that the rehearsal knows by name."""
    begin = trouble.planning(fault)
    return Trouble(fault.name, fault.says, kinds, begin, planned=True, **options)  # type: ignore[arg-type]


_ALL = (
    _of(FAULTS["duplicate"], *_HOPS),
    _of(FAULTS["late"], *_HOPS),
    _of(FAULTS["overtaken"], *_HOPS, elsewhere=_ORDERED),
    _of(FAULTS["refused"], *_HOPS),
    _of(FAULTS["unavailable"], *_HOPS),
    _of(FAULTS["gone"], *_HOPS),
    Trouble(
        "replayed",
        "the archive's day is replayed",
        ("rule",),
        trouble.replay,
        later=True,
        elsewhere="replays go to rules",
    ),
    _of(FAULTS["shuffled"], "queue", elsewhere=_ORDERED),
    _of(FAULTS["early"], "queue"),
    _of(FAULTS["undeleted"], "queue"),
    Trouble("down", "nobody reads for three hours", _POLLED, trouble.pause),
    Trouble(
        "not-json",
        "a message that is no JSON",
        _POLLED,
        trouble.poison(trouble.no_json),
        foreign=True,
        elsewhere=_MATCHED,
    ),
    Trouble(
        "wrong-schema",
        "JSON of another schema",
        _POLLED,
        trouble.poison(trouble.another_schema),
        foreign=True,
        elsewhere=_MATCHED,
    ),
    Trouble(
        "impossible",
        "an event of what never was",
        _POLLED,
        trouble.poison(trouble.impossible),
        later=True,
        foreign=True,
        elsewhere=_MATCHED,
    ),
    Trouble(
        "too-large",
        "as large as the service admits",
        _POLLED,
        trouble.poison(trouble.too_large),
        foreign=True,
        elsewhere=_MATCHED,
    ),
    _of(FAULTS["throttled"], *_POLLED, "route", "task", elsewhere=_NO_HANDLER),
    _of(FAULTS["raises"], *_POLLED, "route", "task", elsewhere=_NO_HANDLER),
    _of(FAULTS["dies"], *_POLLED, "route", "task", elsewhere=_NO_HANDLER),
    _of(FAULTS["raises-on"], *_POLLED, "task", elsewhere=_NO_HANDLER),
    _of(FAULTS["dies-on"], *_POLLED, "task", elsewhere=_NO_HANDLER),
    _of(FAULTS["hangs"], *_POLLED, "route", "task", elsewhere=_NO_HANDLER, repeats=_SENDERS),
    _of(FAULTS["fast"], *_POLLED, "route", "task", elsewhere=_NO_HANDLER),
    _of(FAULTS["slow"], *_POLLED, "route", "task", elsewhere=_NO_HANDLER),
    _of(FAULTS["call-throttled"], "call", elsewhere=_NO_CALL, repeats=_SENDERS),
    _of(FAULTS["call-lost"], "call", elsewhere=_NO_CALL, repeats=_SENDERS),
    _of(FAULTS["call-fails"], "call", elsewhere=_NO_CALL, repeats=_SENDERS),
    _of(FAULTS["call-denied"], "call", elsewhere=_NO_CALL, repeats=_SENDERS),
    _of(
        FAULTS["conflict"],
        "call",
        elsewhere=_NO_CALL,
        operations=frozenset({"TransactWriteItems"}),
        repeats=_SENDERS,
    ),
    _of(FAULTS["partial"], "call", elsewhere=_NO_CALL, operations=PARTIAL),
    _of(
        _LOST, *_HOPS, control=True, elsewhere="what is handed over here is kept until it is taken"
    ),
)
CATALOGUE = {each.name: each for each in _ALL}
"""Every kind of trouble by its name."""
