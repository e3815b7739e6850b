"""Stream consumers: a batch is committed step by step, and a window has a summary."""

import json
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import pytest

from lambdas.eventing.event import CloudEvent
from lambdas.eventing.stream import WindowConsumer, window_consumer
from tests.eventing.sample import CoinAdded, coin
from tests.support.cloud import Queue
from tests.support.messages import CONTEXT, enveloped
from tests.support.telemetry import Log, metrics


class Sum(msgspec.Struct):
    """The summary of a window."""

    cents: int = 0


class Purse:
    """A consumer that adds up coins, and fails on a coin of 13 cents."""

    def __init__(self, read: Callable[[CloudEvent], int] | None = None) -> None:
        self.closed: list[int] = []
        self.handler = window_consumer(
            read=read or _cents,
            consumes=(CoinAdded,),
            summary=Sum,
            close=lambda summary: self.closed.append(summary.cents),
        )(add_up)

    def invoke(
        self,
        *data: bytes,
        state: dict[str, Any] | None = None,
        final: bool = False,
        early: bool = False,
    ) -> dict[str, Any]:
        """Invokes the handler through JSON, as Lambda does; the records are numbered from s1 on."""
        event = {
            "Records": [record(content, f"s{n}") for n, content in enumerate(data, start=1)],
            "state": state or {},
            "isFinalInvokeForWindow": final,
            "isWindowTerminatedEarly": early,
        }
        answer = self.handler(json.loads(json.dumps(event)), CONTEXT)
        copied: dict[str, Any] = json.loads(json.dumps(answer))
        return copied


def _cents(envelope: CloudEvent) -> int:
    return envelope.deliver_to("sample.purse", (CoinAdded,)).event.cents


def add_up(cents: Sequence[int], summary: Sum) -> Iterator[tuple[int, Sum]]:
    """Adds up coins, one after the other."""
    for done, coins in enumerate(cents, start=1):
        if coins == 13:
            raise RuntimeError("the thirteenth cent")
        summary = Sum(summary.cents + coins)
        yield done, summary


add_up.__module__ = "lambdas.sample.purse"


def record(data: bytes, number: str) -> dict[str, Any]:
    """A record of Kinesis, as Lambda passes it."""
    return {
        "eventID": f"shardId-000000000001:{number}",
        "kinesis": {"data": b64encode(data).decode(), "sequenceNumber": number},
    }


def added(cents: int) -> bytes:
    return b'{"detail":' + enveloped(coin(cents)).to_json().encode() + b"}"


def test_a_window_is_summed_over_its_batches_and_then_closed() -> None:
    purse = Purse()
    first = purse.invoke(added(2), added(3))
    assert first == {"state": {"cents": 5}, "batchItemFailures": []}
    last = purse.invoke(added(4), state=first["state"], final=True)
    assert last == {"state": {"cents": 0}, "batchItemFailures": []}
    assert purse.closed == [9]


def test_a_window_that_lambda_ends_early_is_closed() -> None:
    purse = Purse()
    assert purse.invoke(added(2), early=True)["state"] == {"cents": 0}
    assert purse.closed == [2]


def test_a_consumer_has_its_name_event_types_and_docstring() -> None:
    handler: WindowConsumer[int, Sum] = Purse().handler
    assert handler.name == "sample.purse"
    assert handler.consumes == (CoinAdded,)
    assert handler.__doc__ == "Adds up coins, one after the other."


def test_a_failure_is_reported_with_the_state_before_it_and_logged(
    parking: Queue, log: Log
) -> None:
    purse = Purse()
    answer = purse.invoke(added(2), added(13), added(4), final=True)
    assert answer == {"state": {"cents": 2}, "batchItemFailures": [{"itemIdentifier": "s2"}]}
    assert purse.closed == []
    (line,) = log.lines
    assert line["message"] == "records failed and will be delivered again"
    assert line["exception_name"] == "RuntimeError"


def test_a_failure_at_the_first_record_is_raised(parking: Queue) -> None:
    with pytest.raises(RuntimeError, match="thirteenth"):
        Purse().invoke(added(13), added(2))


def test_an_unreadable_record_is_parked_logged_and_counted(
    parking: Queue, log: Log, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert Purse().invoke(added(2), b"no coin", added(3))["state"] == {"cents": 5}
    (message,) = parking.messages()
    attributes = {
        name: (value["DataType"], value["StringValue"])
        for name, value in message["MessageAttributes"].items()
    }
    reason = attributes["Reason"][1]
    assert reason.startswith("sample.purse cannot read it: JSON is malformed")
    assert attributes == {
        "Reason": ("String", reason),
        "EventId": ("String", "shardId-000000000001:s2"),
    }
    (line,) = log.lines
    assert line["message"] == "record parked"
    assert line["reason"] == reason
    assert line["event_id"] == "shardId-000000000001:s2"
    assert metrics(capsys) == {"ParkedMessages": 1}


@pytest.mark.parametrize(
    ("data", "body"),
    [
        (b"as it is", "as it is"),
        ("Größe 日本 😀".encode(), "Größe 日本 😀"),
        (b"", "(empty)"),
        (b"\x00", b64encode(b"\x00").decode()),
        (b"\xff\xfe", b64encode(b"\xff\xfe").decode()),
    ],
)
def test_data_is_parked_as_text_or_in_base64(
    parking: Queue, log: Log, data: bytes, body: str
) -> None:
    Purse().invoke(data)
    assert [message["Body"] for message in parking.messages()] == [body]


def test_a_long_reason_is_truncated(parking: Queue, log: Log) -> None:
    def refuse(_: CloudEvent) -> int:
        raise msgspec.ValidationError("x" * 2_000)

    Purse(refuse).invoke(added(1))
    (message,) = parking.messages()
    assert len(message["MessageAttributes"]["Reason"]["StringValue"]) == 1_024


@pytest.mark.parametrize("state", [{"cents": "many"}, {"cents": None}])
def test_a_state_of_another_version_is_replaced(state: dict[str, Any]) -> None:
    assert Purse().invoke(added(2), state=state)["state"] == {"cents": 2}
