"""The scheduler: virtual time, and processes that take turns."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from cdk_rehearsal.errors import ProcessKilled, RehearsalError
from cdk_rehearsal.virtual_time.clock import Clock
from cdk_rehearsal.virtual_time.pace import Pace
from cdk_rehearsal.virtual_time.processes import Signal
from cdk_rehearsal.virtual_time.scheduler import Scheduler

START = datetime(2026, 1, 5, 8, tzinfo=UTC)


@pytest.fixture
def scheduler() -> Iterator[Scheduler]:
    clock = Clock(START)
    clock.start()
    scheduler = Scheduler(clock)
    yield scheduler
    scheduler.close()
    clock.stop()


def test_processes_take_turns_in_the_order_of_virtual_time(scheduler: Scheduler) -> None:
    seen: list[tuple[str, float]] = []

    def tick(name: str, seconds: float) -> None:
        for _ in range(2):
            scheduler.sleep(seconds)
            seen.append((name, scheduler.now() - START.timestamp()))

    scheduler.spawn(tick, "slow", 2.0)
    scheduler.spawn(tick, "fast", 1.5)
    scheduler.run_until_idle()

    assert seen == [("fast", 1.5), ("slow", 2.0), ("fast", 3.0), ("slow", 4.0)]


def test_what_is_due_at_the_same_time_runs_in_the_order_in_which_it_was_planned(
    scheduler: Scheduler,
) -> None:
    seen: list[int] = []
    for number in range(5):
        scheduler.call_later(1, seen.append, number)
    scheduler.run_until_idle()
    assert seen == [0, 1, 2, 3, 4]


def test_the_interpreters_clocks_show_virtual_time(scheduler: Scheduler) -> None:
    scheduler.run_for(90.5)
    assert time.time() == START.timestamp() + 90.5
    assert datetime.now(UTC) == datetime(2026, 1, 5, 8, 1, 30, 500_000, tzinfo=UTC)
    assert datetime.now().hour == 8  # noqa: DTZ005 - local time is UTC, as in Lambda


def test_a_day_passes_at_once(scheduler: Scheduler) -> None:
    started = time.monotonic()
    scheduler.spawn(scheduler.sleep, 80_000)
    scheduler.run_until_idle()
    assert time.monotonic() - started < 1


def test_an_event_wakes_all_who_wait_and_a_timeout_gives_up(scheduler: Scheduler) -> None:
    event = Signal(scheduler)
    first = scheduler.spawn(event.wait)
    second = scheduler.spawn(event.wait, 5.0)
    impatient = scheduler.spawn(event.wait, 1.0)
    scheduler.call_later(2, event.set)
    scheduler.run_until_idle()

    assert (first.result(), second.result(), impatient.result()) == (True, True, False)
    assert scheduler.now() == START.timestamp() + 2


def test_a_result_is_waited_for_inside_and_outside_of_processes(scheduler: Scheduler) -> None:
    def child() -> int:
        scheduler.sleep(1)
        return 42

    def parent() -> int:
        return int(scheduler.spawn(child).result()) + 1

    assert scheduler.spawn(parent).result() == 43


def test_an_error_goes_to_whoever_asks_for_the_result(scheduler: Scheduler) -> None:
    process = scheduler.spawn(int, "no number")
    scheduler.run_until_idle()
    with pytest.raises(ValueError, match="no number"):
        process.result()


def test_an_error_of_a_critical_process_ends_the_run(scheduler: Scheduler) -> None:
    scheduler.spawn(int, "no number", critical=True)
    with pytest.raises(ValueError, match="no number"):
        scheduler.run_until_idle()


def test_a_killed_process_ends_where_it_sleeps_and_cleans_up(scheduler: Scheduler) -> None:
    seen: list[str] = []

    def stubborn() -> None:
        try:
            scheduler.sleep(1000)
        except Exception:  # noqa: BLE001 - as careless handlers do
            seen.append("caught")
        finally:
            seen.append("cleaned up")

    process = scheduler.spawn(stubborn)
    scheduler.call_later(1, process.kill)
    scheduler.run_until_idle()

    assert seen == ["cleaned up"]
    assert isinstance(process.error, ProcessKilled)
    assert scheduler.now() == START.timestamp() + 1


def test_a_killed_process_cannot_sleep_any_more(scheduler: Scheduler) -> None:
    def clings() -> None:
        try:
            scheduler.sleep(1000)
        finally:
            scheduler.sleep(1000)

    process = scheduler.spawn(clings)
    scheduler.call_later(1, process.kill)
    scheduler.run_until_idle()
    assert process.done
    assert scheduler.now() == START.timestamp() + 1


def test_what_never_ends_is_named_when_the_limit_is_reached(scheduler: Scheduler) -> None:
    def forever() -> None:
        while True:
            scheduler.sleep(1)

    scheduler.spawn(forever, name="the endless one")
    with pytest.raises(RehearsalError, match="the endless one"):
        scheduler.run_until_idle(limit_s=10)


def test_what_waits_in_vain_is_named(scheduler: Scheduler) -> None:
    scheduler.spawn(Signal(scheduler).wait, name="the hopeless one")
    with pytest.raises(RehearsalError, match="the hopeless one"):
        scheduler.run_until_idle()


def test_daemons_do_not_keep_a_run_from_being_idle(scheduler: Scheduler) -> None:
    ticks: list[float] = []

    def tick() -> None:
        ticks.append(scheduler.now())
        scheduler.call_later(1, tick, daemon=True)

    scheduler.call_later(1, tick, daemon=True)
    scheduler.spawn(scheduler.sleep, 3.5)
    scheduler.run_until_idle()
    assert len(ticks) == 3


def test_a_daemon_is_at_work_while_it_runs_or_sleeps_but_not_while_it_waits(
    scheduler: Scheduler,
) -> None:
    event, seen = Signal(scheduler), list[float]()

    def serve() -> None:
        while True:
            event.wait(60)
            event.clear()
            scheduler.sleep(2)
            seen.append(scheduler.now() - START.timestamp())

    scheduler.spawn(serve, daemon=True)
    scheduler.run_until_idle()
    assert seen == []
    event.set()
    scheduler.run_until_idle()
    assert seen == [2]
    scheduler.run_for(62)
    assert seen == [2, 64]


def test_what_waits_in_vain_outside_of_processes_is_told_so_though_daemons_go_on(
    scheduler: Scheduler,
) -> None:
    def tick() -> None:
        scheduler.call_later(1, tick, daemon=True)

    tick()
    with pytest.raises(RehearsalError, match="can no longer happen"):
        Signal(scheduler).wait()


def test_at_real_pace_virtual_time_does_not_run_ahead() -> None:
    assert _seconds_for(0.2, "real") >= 0.2
    assert _seconds_for(60, "virtual") < 30


def test_at_real_pace_time_that_was_lost_is_not_slept_again() -> None:
    """After work that took longer than its virtual time, waits are cut short."""

    def work(scheduler: Scheduler) -> None:
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            pass
        scheduler.sleep(0.5)

    clock = Clock(START)
    scheduler = Scheduler(clock, pace="real")
    started = time.monotonic()
    scheduler.spawn(work, scheduler)
    scheduler.run_until_idle()
    assert time.monotonic() - started < 0.95


def test_what_comes_up_during_a_real_wait_is_not_put_off_to_its_end() -> None:
    scheduler = Scheduler(Clock(START), pace="real")
    seen: list[float] = []

    def visit() -> None:
        with scheduler.guest():
            scheduler.call_later(0.1, lambda: seen.append(scheduler.now()))

    visitor = threading.Timer(0.05, visit)
    visitor.start()
    scheduler.run_for(0.8)
    visitor.join()
    assert [round(moment - START.timestamp(), 3) for moment in seen] == [0.1]
    assert scheduler.now() == START.timestamp() + 0.8


def test_a_start_without_a_time_zone_is_refused() -> None:
    with pytest.raises(RehearsalError, match="aware"):
        Clock(datetime(2026, 1, 5))  # noqa: DTZ001 - that is the point


def _seconds_for(virtual: float, pace: Pace) -> float:
    scheduler = Scheduler(Clock(START), pace=pace)
    started = time.monotonic()
    scheduler.run_for(virtual)
    return time.monotonic() - started
