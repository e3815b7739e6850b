"""Traces: every unit of work is recorded in the trace of what caused it, and of what it changes."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import lambdas
from lambdas.eventing import relay, telemetry, trace
from lambdas.eventing.consumer import Unprocessable, consumer
from lambdas.eventing.declaration import GET, PUT
from lambdas.eventing.event import Cause, CloudEvent, Delivery
from lambdas.eventing.http import Request, endpoint
from lambdas.eventing.store import Store
from lambdas.eventing.task import Failure, task
from lambdas.eventing.trace import TraceContext
from tests.eventing.sample import CAUSE, COUNT, CoinAdded, CoinCounted, coin
from tests.eventing.test_relay import Bus
from tests.eventing.test_store import Purse, a_store
from tests.eventing.test_stream import Purse as StreamedPurse
from tests.support.cloud import Cloud, Crash, Queue, Table, crash
from tests.support.messages import CONTEXT, Call, batch, enveloped, failed, task_input
from tests.support.telemetry import Log, spans

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"
HOSTILE = [
    "",
    "00",
    PARENT.upper(),
    f" {PARENT}",
    f"{PARENT}\n",
    f"{PARENT}-00",
    f"{PARENT},{PARENT}",
    f"ff-{TRACE}-{SPAN}-01",
    f"00-{'0' * 32}-{SPAN}-01",
    f"00-{TRACE}-{'0' * 16}-01",
    f"00-{TRACE[:-1]}-{SPAN}-01",
    '00-"}\n{"level":"ERROR"-00f067aa0ba902b7-01',
    "0" * 100_000,
    "\u0660" * 55,
]


@pytest.mark.parametrize("text", [PARENT, f"00-{TRACE}-{SPAN}-00", f"cc-{TRACE}-{SPAN}-09-more"])
def test_a_traceparent_of_this_or_a_later_version_is_read(text: str) -> None:
    """https://www.w3.org/TR/trace-context/#versioning-of-traceparent."""
    assert TraceContext.read(text) == TraceContext(TRACE, SPAN)


@pytest.mark.parametrize("text", [*HOSTILE, None, 5, ["a"]])
def test_anything_else_is_ignored(text: object) -> None:
    assert TraceContext.read(text) is None


def test_a_context_is_written_as_it_is_read() -> None:
    child = TraceContext(TRACE, SPAN).child()
    assert TraceContext.read(str(child)) == child
    assert child.trace_id == TRACE
    assert child.span_id != SPAN


def test_events_without_a_context_have_the_trace_of_their_correlation_id() -> None:
    first, second = enveloped(coin()), enveloped(coin())
    assert first.trace == second.trace == TraceContext.of("correlation-1")
    assert first.trace != enveloped(coin(), correlation_id="another").trace


@pytest.mark.parametrize("text", HOSTILE)
def test_an_event_with_an_invalid_context_is_processed(
    ledger: Table, parking: Queue, text: str
) -> None:
    wire = {**json.loads(enveloped(coin()).to_json()), "traceparent": text}
    assert failed(COUNT(batch(json.dumps({"detail": wire})), CONTEXT)) == []
    assert parking.messages() == []
    (counted,) = ledger.envelopes(CoinCounted)
    assert counted.trace.trace_id == TraceContext.of("correlation-1").trace_id


@endpoint(answers=CoinAdded, publishes=(), uses=(GET, PUT))
def answer(request: Request) -> CoinAdded:
    """Answers."""
    return coin()


@pytest.mark.parametrize("header", HOSTILE)
def test_an_invalid_header_does_not_reach_the_log(
    cloud: Cloud, log: Log, capsys: pytest.CaptureFixture[str], header: str
) -> None:
    sent = Call(route="GET /purses", headers={"traceparent": header}).send(answer)
    assert sent.status == 200
    (span,) = spans(capsys)
    assert span["trace_id"] == TraceContext.of("request-1").trace_id
    assert "parent_id" not in span
    assert log.lines == []


def test_a_request_continues_the_trace_of_its_caller(
    cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    Call(route="GET /purses", headers={"traceparent": PARENT}).send(answer)
    (span,) = spans(capsys)
    assert (span["trace_id"], span["parent_id"]) == (TRACE, SPAN)
    assert (span["name"], span["kind"], span["route"]) == ("GET /purses", "server", "GET /purses")
    assert span["outcome"] == "done"


def test_the_events_of_a_message_continue_its_trace(
    ledger: Table, parking: Queue, capsys: pytest.CaptureFixture[str]
) -> None:
    envelope = enveloped(coin())
    COUNT(batch(envelope), CONTEXT)
    (counted,) = ledger.envelopes(CoinCounted)
    (span,) = spans(capsys)
    assert counted.trace == TraceContext(span["trace_id"], span["span_id"])
    assert span["published"] == [counted.id]
    assert span["causation_id"] == envelope.id
    assert span["subject"] == "p"
    assert (span["kind"], span["event_type"]) == ("consumer", "CoinAdded.v1")


def test_each_message_of_a_batch_is_recorded_with_its_outcome(
    ledger: Table, parking: Queue, capsys: pytest.CaptureFixture[str]
) -> None:
    @consumer(CoinAdded)
    def weigh(delivery: Delivery[CoinAdded]) -> None:
        if delivery.event.cents == 2:
            raise Unprocessable("too light")
        if delivery.event.cents == 3:
            raise RuntimeError("the scales are broken")

    first = enveloped(coin())
    COUNT(batch(first, first), CONTEXT)
    weigh(batch(enveloped(coin(1)), enveloped(coin(2)), enveloped(coin(3))), CONTEXT)
    found = spans(capsys)
    assert [span["outcome"] for span in found] == ["done", "duplicate", "done", "parked", "failed"]
    assert [span.get("error") for span in found] == [None, None, None, None, "RuntimeError"]
    assert "published" not in found[1]


def test_a_redelivered_message_says_how_often_it_came(
    ledger: Table, parking: Queue, capsys: pytest.CaptureFixture[str]
) -> None:
    sent = batch(enveloped(coin()))
    sent["Records"][0]["attributes"]["ApproximateReceiveCount"] = "3"
    COUNT(sent, CONTEXT)
    (span,) = spans(capsys)
    assert span["attempt"] == 3


def test_a_task_is_recorded(cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    @task(CoinAdded)
    def weigh(delivery: Delivery[CoinAdded], _: Failure | None) -> None:
        raise ValueError("no scales")

    envelope = enveloped(coin())
    with pytest.raises(ValueError, match="no scales"):
        weigh(task_input(envelope), CONTEXT)
    (span,) = spans(capsys)
    assert (span["kind"], span["outcome"], span["error"]) == ("internal", "failed", "ValueError")
    assert span["causation_id"] == envelope.id


def test_a_function_that_is_stopped_leaves_no_record(
    cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Crash), telemetry.span(CAUSE, name="work", kind="internal"):
        crash()
    assert spans(capsys) == []
    assert trace.current() is None


def test_a_record_has_no_data_of_an_event_but_its_subject(
    ledger: Table, parking: Queue, capsys: pytest.CaptureFixture[str]
) -> None:
    COUNT(batch(enveloped(coin(4711, purse="purse-of-somebody"))), CONTEXT)
    (span,) = spans(capsys)
    assert span.pop("subject") == "purse-of-somebody"
    assert "purse-of-somebody" not in json.dumps(span)
    assert "4711" not in json.dumps({**span, "start": "", "duration_ms": 0})


def test_the_first_record_of_an_environment_says_how_long_it_took_to_start(
    cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud.monkeypatch.setattr(telemetry._Start, "cold", True)
    cloud.monkeypatch.setattr(telemetry._Start, "loaded_at", lambdas.LOADING_SINCE + 0.25)
    for _ in range(2):
        with telemetry.span(CAUSE, name="work", kind="internal"):
            pass
    first, second = spans(capsys)
    assert (first["cold"], first["init_ms"]) == (True, 250.0)
    assert second.keys() & {"cold", "init_ms"} == set()


# -- aggregates --------------------------------------------------------------------------------


@pytest.fixture(params=[False, True], ids=["updated", "put"])
def purses(request: pytest.FixtureRequest, ledger: Table) -> Store[Purse]:
    return a_store(whole=request.param)


def work(action: Callable[[], object], correlation_id: str, parent: str | None = None) -> None:
    """Runs an action as a request with this id does."""

    class Asked(Cause, frozen=True):
        @property
        def trace(self) -> TraceContext:
            return TraceContext.read(parent) or super().trace

    with telemetry.span(Asked(correlation_id=correlation_id), name="work", kind="server"):
        action()


def event(ledger: Table, note: str) -> CloudEvent:
    """Returns the committed event with this note."""
    (found,) = (
        each
        for each in ledger.envelopes(CoinCounted)
        if each.deliver_to("test", (CoinCounted,)).event.note == note
    )
    return found


def begin(purses: Store[Purse]) -> None:
    purses.commit(None, Purse.begin(), CAUSE)


def add(purses: Store[Purse], cents: int = 5) -> None:
    purses.change("p", lambda purse: purse.add(cents), CAUSE)


def test_a_later_request_joins_the_trace_of_the_aggregate(
    purses: Store[Purse], ledger: Table, capsys: pytest.CaptureFixture[str]
) -> None:
    work(lambda: begin(purses), "first")
    work(lambda: add(purses), "second")
    first, second = spans(capsys)
    assert first["trace_id"] == second["trace_id"] == TraceContext.of("first").trace_id
    assert second["parent_id"] == first["span_id"]
    assert second["correlation_id"] == "second"
    begun, added = event(ledger, "begun"), event(ledger, "5")
    assert (begun.trace.span_id, added.trace.span_id) == (first["span_id"], second["span_id"])


def test_a_later_request_with_a_trace_of_its_own_is_in_both(
    purses: Store[Purse], ledger: Table, capsys: pytest.CaptureFixture[str]
) -> None:
    work(lambda: begin(purses), "first")
    work(lambda: add(purses), "second", PARENT)
    first, own, joined = spans(capsys)
    assert (own["trace_id"], own["parent_id"]) == (TRACE, SPAN)
    assert (joined["trace_id"], joined["parent_id"]) == (first["trace_id"], first["span_id"])
    assert own["links"] == [f"00-{joined['trace_id']}-{joined['span_id']}-01"]
    assert joined["links"] == [f"00-{own['trace_id']}-{own['span_id']}-01"]
    assert "published" not in own
    assert joined["published"] == [event(ledger, "5").id]


def test_work_on_many_aggregates_is_in_the_trace_of_each(
    purses: Store[Purse], ledger: Table, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b"):
        work(lambda name=name: purses.commit(None, Purse.begin(name), CAUSE), name)  # type: ignore[misc]
    found = [purses.require("a"), purses.require("b")]
    work(lambda: purses.commit_all([(each, each.add(1)) for each in found], CAUSE), "sweep")
    a, b, own, in_a, in_b = spans(capsys)
    assert own["trace_id"] == TraceContext.of("sweep").trace_id
    assert (in_a["parent_id"], in_b["parent_id"]) == (a["span_id"], b["span_id"])
    assert (in_a["subject"], in_b["subject"]) == ("a", "b")
    assert len(own["links"]) == len(in_a["links"]) == 2


def test_what_has_its_event_in_the_trace_already_is_recorded_once(
    purses: Store[Purse], ledger: Table, capsys: pytest.CaptureFixture[str]
) -> None:
    work(lambda: begin(purses), "first")
    work(lambda: add(purses), "first")
    assert len(spans(capsys)) == 2


def test_an_aggregate_of_an_earlier_release_gets_a_trace_with_its_next_change(
    purses: Store[Purse], ledger: Table, capsys: pytest.CaptureFixture[str]
) -> None:
    work(lambda: begin(purses), "first")
    ledger.as_stored_earlier("purse", "traceparent")
    work(lambda: add(purses), "second")
    work(lambda: add(purses, 6), "third")
    _, second, third = spans(capsys)
    assert second["trace_id"] == third["trace_id"] == TraceContext.of("second").trace_id


def test_a_commit_that_fails_is_not_in_the_record(
    purses: Store[Purse], ledger: Table, capsys: pytest.CaptureFixture[str]
) -> None:
    work(lambda: begin(purses), "first")
    work(lambda: begin(purses), "second")
    _, second = spans(capsys)
    assert "published" not in second


# -- batches -----------------------------------------------------------------------------------


def outbox(envelope: CloudEvent, number: int) -> dict[str, Any]:
    texts = {"source": envelope.source, "detail_type": envelope.type, "detail": envelope.to_json()}
    image = {"pk": "PURSE#p", "sk": f"OUTBOX#{envelope.id}", **texts}
    return {
        "dynamodb": {
            "SequenceNumber": str(number),
            "NewImage": {name: {"S": text} for name, text in image.items()},
        }
    }


def traced() -> Iterator[CloudEvent]:
    for number in range(3):
        context = TraceContext.of(f"request-{number}").child()
        yield CloudEvent.wrap(coin(), CAUSE, traceparent=str(context))


def test_the_relay_is_linked_with_all_that_it_publishes(
    cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    bus = Bus.in_place_of_the_bus(cloud)
    events = [*traced()]
    relay.handler({"Records": [outbox(each, n) for n, each in enumerate(events)]}, CONTEXT)
    (span,) = spans(capsys)
    assert span["links"] == [str(event.trace) for event in events]
    assert (span["name"], span["kind"]) == ("eventing.relay", "producer")
    assert bus.details == [event.to_json() for event in events]


def test_a_relay_that_the_bus_refuses_has_failed(
    cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    bus = Bus.in_place_of_the_bus(cloud)
    (event, *_) = traced()
    bus.refused = {event.to_json()}
    relay.handler({"Records": [outbox(event, 1)]}, CONTEXT)
    assert [span["outcome"] for span in spans(capsys)] == ["failed"]


def test_a_window_is_linked_with_all_that_it_reads(
    parking: Queue, capsys: pytest.CaptureFixture[str]
) -> None:
    events = [*traced()]
    StreamedPurse().invoke(*(f'{{"detail":{each.to_json()}}}'.encode() for each in events))
    (span,) = spans(capsys)
    assert span["links"] == [str(event.trace) for event in events]
    assert span["outcome"] == "done"
