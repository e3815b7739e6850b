"""Several versions of an event at once: each consumer reacts once."""

import json
from typing import Any, ClassVar

import msgspec
import pytest

from lambdas.eventing.consumer import Consumer, consumer
from lambdas.eventing.declaration import PUT
from lambdas.eventing.event import CloudEvent, Delivery, Event
from lambdas.eventing.transaction import Transaction
from tests.eventing.sample import CAUSE, SETTINGS, CoinAdded, CoinEvent
from tests.support.cloud import Queue, Table
from tests.support.messages import CONTEXT, batch, enveloped, failed

KEY = ("PURSE#p", "PURSE")


class CoinSpentV1(CoinEvent, frozen=True, kw_only=True):
    """A coin was spent on one thing."""

    cents: int
    what: str

    def upcast(self) -> "CoinSpentV2":
        return CoinSpentV2(purse=self.purse, cents=self.cents, on=[self.what])


class CoinSpentV2(CoinEvent, frozen=True, kw_only=True):
    """A coin was spent on several things."""

    version: ClassVar[int] = 2
    supersedes: ClassVar[type[Event] | None] = CoinSpentV1

    cents: int
    on: list[str]

    def upcast(self) -> "CoinSpent":
        return CoinSpent(purse=self.purse, amount_minor=self.cents, currency="EUR", on=self.on)


class CoinSpent(CoinEvent, frozen=True, kw_only=True):
    """A coin of some currency was spent."""

    version: ClassVar[int] = 3
    supersedes: ClassVar[type[Event] | None] = CoinSpentV2

    amount_minor: int
    currency: str
    on: list[str]


FIRST = CoinSpentV1(purse="p", cents=5, what="tea")
SECOND = FIRST.upcast()
NEWEST = SECOND.upcast()


def spending() -> tuple[Consumer[CoinSpent], list[CoinSpent]]:
    """A consumer that reacts once per event, and the events to which it reacted."""
    seen: list[CoinSpent] = []

    @consumer(CoinSpent, uses=(PUT,))
    def handler(delivery: Delivery[CoinSpent]) -> None:
        transaction = Transaction.reacting_to(delivery, SETTINGS)
        transaction.put(KEY, {"kind": "purse"})
        transaction.commit()
        seen.append(delivery.event)

    return handler, seen


def run(handler: Consumer[Any], *messages: CloudEvent) -> list[str]:
    return failed(handler(batch(*messages), CONTEXT))


def published(ledger: Table, event: Event, *also_as: Event) -> list[CloudEvent]:
    """Publishes an event; returns the envelopes in the outbox, the newest version first."""
    transaction = Transaction(SETTINGS, CAUSE)
    transaction.publish(KEY, event, also_as=also_as)
    transaction.commit()
    return sorted(ledger.envelopes(), key=lambda envelope: envelope.type, reverse=True)


def test_each_version_has_the_name_of_the_event_and_its_own_number() -> None:
    names = [event.detail_type() for event in CoinSpent.versions()]
    assert names == ["CoinSpent.v3", "CoinSpent.v2", "CoinSpent.v1"]


def test_a_consumer_of_the_newest_version_consumes_all_versions() -> None:
    handler, _ = spending()
    assert handler.consumes == (CoinSpent, CoinSpentV2, CoinSpentV1)


@pytest.mark.parametrize("event", [FIRST, SECOND, NEWEST])
def test_an_event_of_any_version_reaches_the_handler_as_the_newest(
    ledger: Table, parking: Queue, event: Event
) -> None:
    handler, seen = spending()
    assert run(handler, enveloped(event)) == []
    assert seen == [NEWEST]


def test_old_and_new_events_of_one_batch_are_handled_together(
    ledger: Table, parking: Queue
) -> None:
    handler, seen = spending()
    assert run(handler, enveloped(NEWEST), enveloped(FIRST), enveloped(SECOND)) == []
    assert seen == [NEWEST, NEWEST, NEWEST]
    assert parking.messages() == []


def test_a_consumer_of_an_older_version_does_not_read_a_newer_one(
    ledger: Table, parking: Queue
) -> None:
    seen: list[Event] = []

    @consumer(CoinSpentV2)
    def handler(delivery: Delivery[CoinSpentV2]) -> None:
        seen.append(delivery.event)

    assert run(handler, enveloped(FIRST), enveloped(NEWEST)) == []
    assert seen == [SECOND]
    (parked,) = parking.messages()
    assert "not CoinSpent.v3" in parked["MessageAttributes"]["Reason"]["StringValue"]


def test_a_consumer_of_a_version_and_of_a_superseded_one_is_an_error() -> None:
    both: Any = consumer(CoinSpent, CoinSpentV1)
    with pytest.raises(TypeError, match="consumes CoinSpentV1 twice"):
        both(lambda delivery: None)


def test_an_event_is_published_in_several_versions_with_one_id(ledger: Table) -> None:
    newest, second, first = published(ledger, NEWEST, FIRST, SECOND)
    assert [each.type for each in (newest, second, first)] == [
        "CoinSpent.v3",
        "CoinSpent.v2",
        "CoinSpent.v1",
    ]
    assert newest.id == second.id == first.id
    assert newest.time == second.time == first.time
    assert msgspec.json.decode(first.data) == {"purse": "p", "cents": 5, "what": "tea"}
    assert msgspec.json.decode(newest.data)["amount_minor"] == 5


def test_a_copy_names_the_next_newer_version_and_the_newest_names_none(ledger: Table) -> None:
    newest, second, first = published(ledger, NEWEST, FIRST, SECOND)
    assert "supersededby" not in json.loads(newest.to_json())
    assert json.loads(second.to_json())["supersededby"] == "CoinSpent.v3"
    assert json.loads(first.to_json())["supersededby"] == "CoinSpent.v2"
    (only, copy) = published(ledger, NEWEST, FIRST)[0], newest.also_as(FIRST)
    assert (only.type, copy.supersededby) == ("CoinSpent.v3", "CoinSpent.v3")


def test_a_consumer_that_gets_several_versions_of_an_event_reacts_once(
    ledger: Table, parking: Queue
) -> None:
    handler, seen = spending()
    newest, second, first = published(ledger, NEWEST, FIRST, SECOND)
    assert run(handler, first, newest) == []
    assert run(handler, second, first) == []
    assert seen == [NEWEST]


@pytest.mark.parametrize(
    "other",
    [
        CoinAdded(purse="p", cents=5),
        NEWEST,
        CoinSpentV1(purse="another", cents=5, what="tea"),
    ],
)
def test_only_an_older_version_of_the_same_event_can_be_published_with_it(other: Event) -> None:
    transaction = Transaction(SETTINGS, CAUSE)
    with pytest.raises(ValueError, match="is not an older version of CoinSpent"):
        transaction.publish(KEY, NEWEST, also_as=[other])


def test_a_newer_version_cannot_be_published_as_a_copy_of_an_older_one() -> None:
    transaction = Transaction(SETTINGS, CAUSE)
    with pytest.raises(ValueError, match="is not an older version of CoinSpentV1"):
        transaction.publish(KEY, FIRST, also_as=[NEWEST])


def test_an_old_event_with_invalid_data_is_parked(ledger: Table, parking: Queue) -> None:
    handler, seen = spending()
    wrong = msgspec.structs.replace(enveloped(FIRST), data=msgspec.Raw(b'{"purse": "p"}'))
    assert run(handler, wrong) == []
    assert seen == []
    (parked,) = parking.messages()
    reason = parked["MessageAttributes"]["Reason"]["StringValue"]
    assert "missing required field `cents`" in reason


def test_an_old_event_that_cannot_be_upcast_yet_is_delivered_again(
    ledger: Table, parking: Queue
) -> None:
    """The next deployment can fix a mistake in the code: until then, nothing is lost."""

    class CoinFoundV1(CoinEvent, frozen=True, kw_only=True):
        pass

    class CoinFound(CoinEvent, frozen=True, kw_only=True):
        version: ClassVar[int] = 2
        supersedes: ClassVar[type[Event] | None] = CoinFoundV1

    @consumer(CoinFound)
    def handler(delivery: Delivery[CoinFound]) -> None:
        raise AssertionError("nothing can be delivered")

    assert run(handler, enveloped(CoinFoundV1(purse="p"))) == ["m1"]
    assert parking.messages() == []
    with pytest.raises(NotImplementedError, match="CoinFoundV1 has no upcast"):
        enveloped(CoinFoundV1(purse="p")).deliver_to("c", (CoinFound,))


def test_an_upcast_to_another_class_is_an_error_that_names_both_classes() -> None:
    class CoinLostV1(CoinEvent, frozen=True, kw_only=True):
        def upcast(self) -> Event:
            return self

    class CoinLost(CoinEvent, frozen=True, kw_only=True):
        version: ClassVar[int] = 2
        supersedes: ClassVar[type[Event] | None] = CoinLostV1

    with pytest.raises(TypeError, match="CoinLostV1 is upcast to CoinLostV1, not to CoinLost"):
        enveloped(CoinLostV1(purse="p")).deliver_to("c", (CoinLost,))
