"""Stored objects: notifications are handled independently, like events."""

import json
from typing import Any

import pytest

from lambdas.eventing.consumer import Unprocessable
from lambdas.eventing.stored_object import ObjectConsumer, StoredObject, object_consumer
from lambdas.eventing.transaction import AlreadyProcessed
from tests.support.cloud import Crash, Queue
from tests.support.messages import CONTEXT, batch, failed
from tests.support.objects import TEST_EVENT, context, notification, record


def reading(
    wrong: str = "", error: type[BaseException] = RuntimeError
) -> tuple[ObjectConsumer, list[StoredObject]]:
    """A consumer that fails on one key, and the list of the objects that it handled."""
    handled: list[StoredObject] = []

    @object_consumer()
    def handler(file: StoredObject) -> None:
        if file.key == wrong:
            raise error("the object does not suit")
        handled.append(file)

    return handler, handled


def run(handler: ObjectConsumer, *bodies: str) -> list[str]:
    """Runs a batch; returns the ids of the messages to be delivered again."""
    return failed(handler(batch(*bodies), CONTEXT))


def keys(handled: list[StoredObject]) -> list[str]:
    return [file.key for file in handled]


def test_a_notification_names_the_version_of_its_object(parking: Queue) -> None:
    handler, handled = reading()
    assert run(handler, notification(record("files", "a.csv", "v7", size=12, e_tag="0ab"))) == []
    (file,) = handled
    assert (file.bucket, file.key, file.version_id) == ("files", "a.csv", "v7")
    assert (file.size, file.e_tag) == (12, "0ab")
    assert file.name == file.correlation_id == "files/a.csv@v7"


@pytest.mark.parametrize(
    "key", ["in/a b.csv", "in/a+b.csv", "in/100%25.csv", "in/Größe & Preis.csv", "in/日本.csv"]
)
def test_an_encoded_key_is_decoded(parking: Queue, key: str) -> None:
    handler, handled = reading()
    body = notification(record("files", key))
    assert key not in body
    assert run(handler, body) == []
    assert keys(handled) == [key]


def test_the_test_event_is_acknowledged(parking: Queue) -> None:
    handler, handled = reading()
    assert run(handler, TEST_EVENT) == []
    assert handled == []
    assert parking.messages() == []


def test_each_object_of_a_notification_is_handled(parking: Queue) -> None:
    handler, handled = reading()
    assert run(handler, notification(record("files", "a"), record("files", "b"))) == []
    assert keys(handled) == ["a", "b"]


def test_a_notification_that_fails_is_delivered_again_and_the_others_are_not(
    parking: Queue,
) -> None:
    handler, handled = reading("b")
    bodies = [notification(record("files", key)) for key in "abc"]
    assert run(handler, *bodies) == ["m2"]
    assert keys(handled) == ["a", "c"]
    assert parking.messages() == []


def test_an_unprocessable_notification_is_parked_unchanged(parking: Queue) -> None:
    handler, handled = reading("b", Unprocessable)
    bodies = [notification(record("files", key)) for key in "abc"]
    assert run(handler, *bodies) == []
    assert keys(handled) == ["a", "c"]
    (parked,) = parking.messages()
    assert parked["Body"] == bodies[1]
    reason = parked["MessageAttributes"]["Reason"]["StringValue"]
    assert reason.endswith("cannot process it: the object does not suit")


def test_a_duplicate_is_acknowledged(parking: Queue) -> None:
    handler, _ = reading("a", AlreadyProcessed)
    assert run(handler, notification(record("files", "a"))) == []
    assert parking.messages() == []


def test_a_crash_is_not_caught(parking: Queue) -> None:
    handler, _ = reading("a", Crash)
    with pytest.raises(Crash):
        run(handler, notification(record("files", "a")))


def wrong_messages() -> dict[str, str]:
    """Messages that no retry can process."""

    def spoilt(section: str | None = None, **changes: Any) -> str:
        good = record("files", "a")
        part = good["s3"][section] if section else good
        part.update(changes)
        return notification({**good})

    no_version = record("files", "a")
    del no_version["s3"]["object"]["versionId"]
    return {
        "no JSON": "{",
        "no object": "[]",
        "no notification": "{}",
        "no records": notification(),
        "another event": json.dumps({"Event": "s3:Other"}),
        "nothing stored": spoilt(eventName="ObjectRemoved:Delete"),
        "no key": spoilt("object", key=None),
        "no version": notification(no_version),
        "version null": spoilt("object", versionId=None),
        "no bucket": spoilt("bucket", name=None),
    }


@pytest.mark.parametrize("kind", wrong_messages())
def test_an_unreadable_message_is_parked_at_once(parking: Queue, kind: str) -> None:
    handler, handled = reading()
    message = wrong_messages()[kind]
    assert run(handler, message, notification(record("files", "good"))) == []
    assert keys(handled) == ["good"]
    (parked,) = parking.messages()
    assert parked["Body"] == message
    assert "cannot read it" in parked["MessageAttributes"]["Reason"]["StringValue"]


def test_the_remaining_time_is_read_on_each_call(parking: Queue) -> None:
    seen: list[float] = []

    @object_consumer()
    def handler(file: StoredObject) -> None:
        seen.extend([file.seconds_left(), file.seconds_left()])

    assert failed(handler(batch(notification(record("files", "a"))), context(900, 59.5))) == []
    assert seen == [900, 59.5]


def test_the_name_of_a_consumer_is_its_module() -> None:
    from lambdas.inventory import import_stock_file

    assert import_stock_file.handler.name == "inventory.import_stock_file"
