"""Consumers: each message of a batch is acknowledged, redelivered or parked independently."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lambdas.eventing import aws
from lambdas.eventing.consumer import Consumer, ConsumerSettings, Unprocessable, consumer
from lambdas.eventing.declaration import PUT, UPDATE
from lambdas.eventing.event import CloudEvent, Delivery, Event
from lambdas.eventing.misconfiguration import Misconfigured
from tests.eventing.sample import COUNT, CoinAdded, CoinCounted, coin, counting
from tests.support.cloud import Cloud, Commits, Crash, Queue, Table, crash
from tests.support.messages import CONTEXT, batch, body, enveloped, failed
from tests.support.telemetry import metrics


def run(handler: Consumer[Any], *messages: CloudEvent | str) -> list[str]:
    """Runs a batch; returns the ids of the messages to be delivered again."""
    return failed(handler(batch(*messages), CONTEXT))


def failing_on(
    wrong: CoinAdded, error: type[BaseException] = RuntimeError
) -> tuple[Consumer[CoinAdded], list[CoinAdded]]:
    """A consumer that fails on one event, and the list of the events that it handled."""
    handled: list[CoinAdded] = []

    @consumer(CoinAdded)
    def handler(delivery: Delivery[CoinAdded]) -> None:
        if delivery.event == wrong:
            raise error("the event does not suit")
        handled.append(delivery.event)

    return handler, handled


def test_each_event_of_a_batch_has_its_effect(ledger: Table, parking: Queue) -> None:
    assert run(COUNT, *[enveloped(coin(cents)) for cents in (1, 2, 3)]) == []
    assert ledger.one("purse")["cents"] == 6
    assert parking.messages() == []


def test_an_event_delivered_twice_has_its_effect_once(ledger: Table, parking: Queue) -> None:
    envelope = enveloped(coin(5))
    assert run(COUNT, envelope) == []
    assert run(COUNT, envelope) == []
    assert run(COUNT, envelope, envelope) == []
    assert ledger.one("purse")["cents"] == 5
    assert ledger.published() == ["CoinCounted.v1"]
    assert parking.messages() == []


def test_a_message_that_fails_is_delivered_again_and_the_others_are_not(parking: Queue) -> None:
    handler, handled = failing_on(coin(2))
    messages = [enveloped(coin(cents)) for cents in (1, 2, 3)]
    assert run(handler, *messages) == ["m2"]
    assert handled == [coin(1), coin(3)]
    assert parking.messages() == []


def test_a_batch_that_fails_as_a_whole_is_delivered_again_as_a_whole(parking: Queue) -> None:
    handler, _ = failing_on(coin(2))
    assert run(handler, *[enveloped(coin(2)) for _ in range(3)]) == ["m1", "m2", "m3"]
    assert parking.messages() == []


def test_an_effect_that_was_not_committed_is_delivered_again(
    ledger: Table, parking: Queue, cloud: Cloud
) -> None:
    def refuse(**_: Any) -> None:
        raise ConnectionError("no way to DynamoDB")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aws.dynamodb(), "transact_write_items", refuse)
        assert run(COUNT, enveloped(coin())) == ["m1"]
    assert ledger.items() == []


def test_a_crash_between_two_messages_loses_and_duplicates_nothing(
    ledger: Table, parking: Queue, commits: Commits
) -> None:
    messages = [enveloped(coin(cents)) for cents in (1, 2, 3)]
    commits.after(2, crash)
    with pytest.raises(Crash):
        run(COUNT, *messages)
    assert ledger.one("purse")["cents"] == 3
    assert run(COUNT, *messages) == []
    assert ledger.one("purse")["cents"] == 6


def wrong_messages() -> dict[str, tuple[str, str]]:
    """Messages that no retry can process, and the expected reasons."""
    good = json.loads(body(enveloped(coin())))

    def spoilt(**detail: Any) -> str:
        return json.dumps({**good, "detail": {**good["detail"], **detail}})

    return {
        "no JSON": ("{", "sample.count cannot read it: Input data was truncated"),
        "no object": ("[]", "cannot read it: Expected `object`, got `array`"),
        "no event": ("{}", "missing required field `detail`"),
        "no envelope": (json.dumps({"detail": {"cents": 1}}), "missing required field `id`"),
        "no data": (spoilt(data=None), "Expected `object`, got `null`"),
        "wrong data": (spoilt(data={"purse": "p", "cents": 0}), "Expected `int` >= 1"),
        "unknown type": (spoilt(type="CoinLost.v1"), "consumes CoinAdded.v1, not CoinLost.v1"),
        "unknown source": (spoilt(source="elsewhere"), "not CoinAdded.v1 of elsewhere"),
    }


@pytest.fixture
def named(cloud: Cloud) -> Consumer[CoinAdded]:
    """The sample's consumer with a name as in a context."""
    cloud.monkeypatch.setattr(COUNT, "name", "sample.count")
    return COUNT


@pytest.mark.parametrize("kind", wrong_messages())
def test_an_unreadable_message_is_parked_at_once(
    ledger: Table, parking: Queue, named: Consumer[CoinAdded], kind: str
) -> None:
    message, reason = wrong_messages()[kind]
    assert run(named, message) == []
    assert ledger.items() == []
    (parked,) = parking.messages()
    assert parked["Body"] == message
    assert reason in parked["MessageAttributes"]["Reason"]["StringValue"]


def test_a_parked_message_does_not_delay_its_batch(
    ledger: Table, parking: Queue, named: Consumer[CoinAdded]
) -> None:
    assert run(named, enveloped(coin(1)), "{", enveloped(coin(2))) == []
    assert ledger.one("purse")["cents"] == 3
    assert len(parking.messages()) == 1


def test_an_unprocessable_event_is_parked_with_the_consumers_reason(parking: Queue) -> None:
    handler, handled = failing_on(coin(2), Unprocessable)
    assert run(handler, enveloped(coin(1)), enveloped(coin(2))) == []
    assert handled == [coin(1)]
    (parked,) = parking.messages()
    assert json.loads(parked["Body"])["detail"]["data"] == {"purse": "p", "cents": 2}
    reason = parked["MessageAttributes"]["Reason"]["StringValue"]
    assert reason.endswith("cannot process it: the event does not suit")


@pytest.mark.parametrize(
    "error",
    [
        ClientError(
            {"Error": {"Code": "AccessDeniedException", "Message": "no policy allows it"}},
            "TransactWriteItems",
        ),
        Misconfigured("variable TABLE_NAME is missing"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_configuration_error_parks_the_message_at_once_with_the_remedy(
    parking: Queue, error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    tries: list[Delivery[CoinAdded]] = []

    @consumer(CoinAdded)
    def handler(delivery: Delivery[CoinAdded]) -> None:
        tries.append(delivery)
        raise error

    assert run(handler, enveloped(coin(1)), enveloped(coin(2))) == []
    assert len(tries) == 2
    reasons = [each["MessageAttributes"]["Reason"]["StringValue"] for each in parking.messages()]
    assert len(reasons) == 2
    for reason in reasons:
        assert reason.startswith(handler.name)
        assert "correct the configuration and redrive" in reason
        assert reason.endswith(str(error).rpartition(": ")[2])
    counted = metrics(capsys)
    assert counted == {"ConfigurationErrors": 2, "ParkedMessages": 2}


def test_a_configuration_error_that_also_prevents_parking_leaves_the_message(cloud: Cloud) -> None:
    """After the last attempt, SQS moves it to the dead-letter queue, without a reason."""
    cloud.configure({"DEAD_LETTER_QUEUE_URL": "https://sqs.eu-central-1.amazonaws.com/1/gone"})
    handler, _ = failing_on(coin(2), Misconfigured)
    assert run(handler, enveloped(coin(2))) == ["m1"]


def test_a_reason_of_any_length_and_script_fits_the_attribute(parking: Queue) -> None:
    @consumer(CoinAdded)
    def handler(delivery: Delivery[CoinAdded]) -> None:
        raise Unprocessable("zu groß " * 1000)

    assert run(handler, enveloped(coin())) == []
    (parked,) = parking.messages()
    assert "zu groß" in parked["MessageAttributes"]["Reason"]["StringValue"]


def test_a_message_that_cannot_be_parked_is_delivered_again(cloud: Cloud) -> None:
    cloud.configure({"DEAD_LETTER_QUEUE_URL": "https://sqs.eu-central-1.amazonaws.com/1/gone"})
    handler, handled = failing_on(coin(2), Unprocessable)
    assert run(handler, "{", enveloped(coin(1)), enveloped(coin(2))) == ["m1", "m3"]
    assert handled == [coin(1)]


def test_a_redriven_message_is_processed_like_the_original(ledger: Table, parking: Queue) -> None:
    """A parked message has the format of the bus, so a redrive works for both."""
    handler, _ = failing_on(coin(7), Unprocessable)
    assert run(handler, enveloped(coin(7))) == []
    (parked,) = parking.messages()
    assert run(COUNT, parked["Body"]) == []
    assert ledger.one("purse")["cents"] == 7


def test_a_consumer_of_several_types_gets_each_as_its_class(parking: Queue) -> None:
    seen: list[Event] = []

    @consumer(CoinAdded, CoinCounted)
    def handler(delivery: Delivery[Any]) -> None:
        seen.append(delivery.event)

    events = [coin(), CoinCounted(purse="p")]
    assert run(handler, *map(enveloped, events)) == []
    assert seen == events


def test_a_consumer_has_its_event_types_module_and_docstring() -> None:
    assert COUNT.consumes == (CoinAdded,)
    assert COUNT.__module__ == "tests.eventing.sample"
    assert COUNT.__doc__ == "Counts coins."


def test_the_name_of_a_consumer_is_its_module() -> None:
    from lambdas.orders import keep_price_list

    assert keep_price_list.handler.name == "orders.keep_price_list"


def test_a_delivery_names_its_consumer(ledger: Table, parking: Queue) -> None:
    seen: list[Delivery[CoinAdded]] = []

    @consumer(CoinAdded, publishes=(CoinCounted,), uses=(UPDATE, PUT))
    def handler(delivery: Delivery[CoinAdded]) -> None:
        seen.append(delivery)
        counting(delivery).commit()

    assert run(handler, enveloped(coin(), correlation_id="correlation-9")) == []
    assert seen[0].correlation_id == "correlation-9"
    assert ledger.one("inbox")["pk"].startswith(f"INBOX#{handler.name}#")


def test_without_its_dead_letter_queue_a_consumer_names_the_missing_variable() -> None:
    with pytest.raises(RuntimeError, match="dead_letter_queue_url"):
        ConsumerSettings.from_environ({})


@pytest.mark.parametrize("count", [1, 10])
def test_each_message_is_tried_once_per_batch(parking: Queue, count: int) -> None:
    tries: list[int] = []
    react: Callable[[Delivery[CoinAdded]], None] = lambda delivery: tries.append(1)  # noqa: E731
    assert run(consumer(CoinAdded)(react), *[enveloped(coin()) for _ in range(count)]) == []
    assert len(tries) == count
