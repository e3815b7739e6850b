"""Logs and metrics: the ids and results of events, without their data."""

import json
from http import HTTPStatus

import pytest

from lambdas.eventing import telemetry
from lambdas.eventing.consumer import Consumer, consumer
from lambdas.eventing.event import Delivery
from lambdas.eventing.http import Problem, Request, endpoint
from lambdas.eventing.task import Failure, task
from tests.eventing.sample import CAUSE, COUNT, CoinAdded, coin
from tests.eventing.test_relay import Bus, publish, record
from tests.support.cloud import Cloud, Queue, Table
from tests.support.messages import CONTEXT, Call, batch, enveloped, task_input
from tests.support.telemetry import Log, metrics

SECRET = "purse-of-somebody"


def failing() -> Consumer[CoinAdded]:
    @consumer(CoinAdded)
    def handler(delivery: Delivery[CoinAdded]) -> None:
        raise RuntimeError("the scales are broken")

    return handler


def test_each_line_of_a_block_has_the_ids_of_its_cause(log: Log) -> None:
    with telemetry.tracing(CAUSE, event_type="CoinAdded.v1") as logger:
        logger.info("one")
        telemetry.logger().warning("two")
    telemetry.logger().info("three")
    inside, also, outside = log.lines
    for line in (inside, also):
        assert line["correlation_id"] == "correlation-1"
        assert line["causation_id"] == "cause-1"
        assert line["event_type"] == "CoinAdded.v1"
        assert line["service"] == "test"
    assert "correlation_id" not in outside
    assert "causation_id" not in outside


def test_a_consumer_logs_duplicates_with_the_ids_of_the_event(
    log: Log, ledger: Table, parking: Queue
) -> None:
    envelope = enveloped(coin(), correlation_id="correlation-9")
    COUNT(batch(envelope, envelope), CONTEXT)
    (line,) = log.lines
    assert line["message"] == "duplicate acknowledged"
    assert line["correlation_id"] == "correlation-9"
    assert line["causation_id"] == envelope.id
    assert line["event_type"] == "CoinAdded.v1"


def test_a_consumer_logs_the_error_that_the_partial_response_hides(
    log: Log, parking: Queue
) -> None:
    envelope = enveloped(coin(), correlation_id="correlation-9")
    failing()(batch(envelope), CONTEXT)
    (line,) = log.lines
    assert line["level"] == "ERROR"
    assert line["exception_name"] == "RuntimeError"
    assert "the scales are broken" in line["exception"]
    assert line["correlation_id"] == "correlation-9"


def test_ids_of_one_message_are_not_logged_with_the_next(log: Log, parking: Queue) -> None:
    failing()(batch(enveloped(coin(), correlation_id="first"), "{"), CONTEXT)
    first, second = log.lines
    assert first["correlation_id"] == "first"
    assert second["message"] == "message parked"
    assert second["message_id"] == "m2"
    assert "correlation_id" not in second


def test_tasks_log_with_the_ids_of_their_event(log: Log) -> None:
    @task(CoinAdded)
    def handler(delivery: Delivery[CoinAdded], _: Failure | None) -> None:
        telemetry.logger().info("working")

    envelope = enveloped(coin(), correlation_id="correlation-9")
    handler(task_input(envelope), CONTEXT)
    (line,) = log.lines
    assert line["correlation_id"] == "correlation-9"
    assert line["causation_id"] == envelope.id


def test_requests_log_with_the_id_of_the_access_log(log: Log) -> None:
    class NoPurse(Problem, status=HTTPStatus.NOT_FOUND):
        """The purse does not exist."""

    @endpoint(answers=CoinAdded)
    def handler(request: Request) -> CoinAdded:
        raise NoPurse("there is none")

    Call(route="GET /purses/{purse}").send(handler)
    (line,) = log.lines
    assert line["correlation_id"] == "request-1"
    assert line["route"] == "GET /purses/{purse}"
    assert line["code"] == "no_purse"


def test_no_data_of_an_event_reaches_the_log(log: Log, ledger: Table, parking: Queue) -> None:
    good = enveloped(coin(purse=SECRET))
    wrong = json.dumps({"detail": {"data": {"purse": SECRET}}})
    COUNT(batch(good, good, wrong), CONTEXT)
    failing()(batch(good), CONTEXT)
    assert len(log.lines) == 3
    assert SECRET not in log.text


def test_no_body_of_a_request_reaches_the_log(log: Log) -> None:
    @endpoint(body=CoinAdded, answers=CoinAdded)
    def handler(request: Request, added: CoinAdded) -> CoinAdded:
        return added

    answer = Call(body={"purse": SECRET, "cents": -1}, caller=SECRET).send(handler)
    assert answer.status == 400
    assert len(log.lines) == 1
    assert SECRET not in log.text


def test_metrics_count_the_result_of_each_message(
    log: Log, ledger: Table, parking: Queue, capsys: pytest.CaptureFixture[str]
) -> None:
    envelope = enveloped(coin())
    COUNT(batch(envelope, envelope, enveloped(coin()), "{"), CONTEXT)
    failing()(batch(envelope), CONTEXT)
    assert metrics(capsys) == {
        "ProcessedEvents": 2,
        "DuplicateEvents": 1,
        "ParkedMessages": 1,
        "FailedEvents": 1,
    }


def test_the_relay_counts_accepted_and_rejected_events_and_logs_the_reason(
    log: Log, cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    bus = Bus.in_place_of_the_bus(cloud)
    bus.refused = {'"detail 11"', '"detail 12"'}
    publish(*(record(number) for number in range(13)))
    assert metrics(capsys) == {"PublishedEvents": 11, "RefusedEvents": 2}
    (line,) = log.lines
    assert line["level"] == "WARNING"
    assert line["message"] == "bus refused events"
    assert (line["count"], line["error"]) == (2, "ThrottlingException")


def test_without_metrics_nothing_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry.flush()
    assert capsys.readouterr().out == ""


def test_a_duration_is_measured_in_milliseconds(
    cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    telemetry.measure("Waited", 12.5)
    telemetry.flush()
    written = json.loads(capsys.readouterr().out)
    (directive,) = written["_aws"]["CloudWatchMetrics"]
    assert directive["Metrics"] == [{"Name": "Waited", "Unit": "Milliseconds"}]
    assert written["Waited"] == [12.5]
