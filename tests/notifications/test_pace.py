"""The pace of senders: messages of one execution environment keep their distance."""

import random
import time
from collections.abc import Callable

import pytest
from botocore.exceptions import ClientError

from lambdas.notifications.pace import Pace


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses so far, on a clock that only they move. Random ones have half their length."""
    now = [1_000.0]
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    monkeypatch.setattr(time, "time", lambda: now[0])
    monkeypatch.setattr(time, "sleep", sleep)
    monkeypatch.setattr(random, "uniform", lambda low, high: (low + high) / 2)
    return slept


def refusing(*codes: str) -> Callable[[], None]:
    """A call that is refused with these codes, one after the other, and then succeeds."""
    left = list(codes)

    def call() -> None:
        if left:
            raise ClientError({"Error": {"Code": left.pop(0), "Message": ""}}, "Send")

    return call


def test_the_first_message_does_not_wait_and_the_next_ones_keep_their_distance(
    pauses: list[float],
) -> None:
    pace = Pace()
    for _ in range(3):
        pace.send(refusing(), 0.25)
    assert pauses == [0.25, 0.25]


def test_after_a_pause_no_message_waits(pauses: list[float]) -> None:
    pace = Pace()
    pace.send(refusing(), 0.25)
    time.sleep(5)
    pace.send(refusing(), 0.25)
    assert pauses == [5]


def test_a_clock_that_is_set_back_delays_one_message_by_one_interval(
    pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    pace = Pace()
    pace.send(refusing(), 0.25)
    monkeypatch.setattr(time, "time", lambda: 10.0)
    pace.send(refusing(), 0.25)
    assert pauses == [0.25]


@pytest.mark.parametrize(
    "code", ["ThrottledException", "Throttling", "ThrottlingException", "TooManyRequestsException"]
)
def test_a_throttled_message_is_sent_after_a_random_pause(pauses: list[float], code: str) -> None:
    Pace().send(refusing(code, code), 0.25)
    assert pauses == [0.125, 0.125, 0.125, 0.125]


def test_another_error_is_raised_at_once(pauses: list[float]) -> None:
    with pytest.raises(ClientError, match="MessageRejected"):
        Pace().send(refusing("MessageRejected"), 0.25)
    assert pauses == []


@pytest.mark.parametrize("interval_s", [0.1, 2.0, 10.0])
def test_a_message_that_stays_throttled_is_given_up_long_before_the_timeout(
    pauses: list[float], interval_s: float
) -> None:
    pace = Pace()
    pace.send(refusing(), interval_s)
    with pytest.raises(ClientError, match="Throttling"):
        pace.send(refusing(*["Throttling"] * 1_000), interval_s)
    assert interval_s <= sum(pauses) <= 15
    assert len(pauses) <= 2 * 8
