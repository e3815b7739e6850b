"""The simulation of load: small flows, whose backlogs and times can be counted by hand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from cdk_rehearsal import Load
from tools.load.flows import ORDER, Edge, Flow, Stop, Within
from tools.load.patterns import PATTERNS, Pattern, day, spike, step
from tools.load.settings import Hop
from tools.load.simulation import Clients, Outcome, Slow, percentile, simulate

WORK = "Shop/Work"
OUTBOX = "Shop/Relay"
CONFIRMED = "Done."
NOTHING = Load(
    orders=1,
    busy_s={},
    batches={},
    requests={},
    units={},
    hottest={},
    calls={},
    starts={},
    transitions={},
    routed=0.0,
    schedule_s=0.0,
    schedules=0.0,
    outside={},
)
QUEUE = Hop(function=WORK, kind="queue", item_s=1.0, timeout_s=60, most=2, visibility_s=300)
STREAM = Hop(function=OUTBOX, kind="stream", item_s=0.0, timeout_s=60, batch_size=100)


def evenly(rate: float, seconds: float) -> Iterator[float]:
    return (number / rate for number in range(int(rate * seconds)))


def flow(*hops: Hop) -> Flow:
    """Each order reaches the first hop, and then the next ones; the last one ends it."""
    stops = [ORDER, *(Stop(hop.function, "Placed.v1") for hop in hops[:-1])]
    last = Stop(hops[-1].function, "Done.v1" if len(hops) > 1 else "Placed.v1")
    edges = [
        Edge(source=source, target=target, items=1.0)
        for source, target in zip(stops, [*stops[1:], last], strict=True)
    ]
    return Flow(load=NOTHING, edges=edges, routes={}, within={}, spread={}, confirmed_s=[])


def run(arrivals: Iterator[float], *hops: Hop, until: float, **options: Any) -> Outcome:
    return simulate(
        flow(*hops),
        {hop.function: hop for hop in hops},
        arrivals,
        until=until,
        confirmed=CONFIRMED,
        **{"concurrency": 1000.0, **options},
    )


def test_a_queue_that_keeps_up_has_no_backlog_and_its_latency_is_the_handlers() -> None:
    found = run(evenly(1.5, 600), QUEUE, STREAM, until=700)
    assert max(found.backlog[WORK]) <= 3
    assert found.counts[WORK].handled == found.orders == 900
    assert 1.0 < percentile(found.latencies(), 50) < 1.6


def test_a_backlog_grows_by_what_comes_above_the_capacity_and_goes_at_the_rest() -> None:
    # Two at once of a second each: 2 per second, less the pauses between two polls.
    found = run(evenly(4.0, 300), QUEUE, STREAM, until=700)
    peak = max(found.backlog[WORK])
    assert peak == pytest.approx(300 * (4.0 - 2.0), rel=0.05)
    assert max(found.age[WORK]) == pytest.approx(300, rel=0.1)
    late = found.recovered_s(WORK, start=0.0, end=300.0)
    assert late == pytest.approx(peak / 2.0, rel=0.05)
    assert percentile(found.latencies(), 99) == pytest.approx(300, rel=0.1)


def test_a_backlog_at_the_end_has_not_recovered() -> None:
    found = run(evenly(4.0, 600), QUEUE, until=600)
    assert found.recovered_s(WORK, start=10.0, end=300.0) is None


def test_pollers_begin_with_five_batches_and_add_five_a_second() -> None:
    slow = replace(QUEUE, item_s=50.0, most=None)
    tries = [
        run(iter([0.0] * 2000), slow, until=until).counts[WORK].tries for until in (0.5, 10.5, 40.5)
    ]
    assert tries[0] == pytest.approx(5, abs=3)
    assert tries[1] == pytest.approx(55, abs=5)
    assert tries[2] == pytest.approx(205, abs=5)


def test_a_batch_is_as_large_as_its_size_or_waits_as_long_as_its_window() -> None:
    batched = replace(QUEUE, batch_size=10, window_s=5.0, base_s=1.0, item_s=0.0)
    found = run(evenly(1.0, 100), batched, STREAM, until=200)
    # A window of five seconds collects five or six messages.
    assert 3.0 < percentile(found.latencies(), 50) < 5.0
    full = run(evenly(100.0, 10), batched, until=200)
    assert full.counts[WORK].handled == 1000
    assert max(full.age[WORK]) == pytest.approx(1000 / 20 - 10, rel=0.2)


def test_a_message_whose_handler_takes_longer_than_its_visibility_is_handled_again() -> None:
    short = replace(QUEUE, item_s=2.5, visibility_s=1.0, most=10, receives=5)
    counts = run(evenly(0.1, 300), short, until=600).counts[WORK]
    # It is received after 0, 1 and 2 seconds; the first two receipts no longer delete it. The third
    # one ends at 4.5 seconds, when it has been received twice more.
    assert counts.handled == 30
    assert counts.tries == 5 * 30
    assert counts.dead == 30
    long = replace(short, visibility_s=3.0)
    assert run(evenly(0.1, 300), long, until=600).counts[WORK].tries == 30


def test_a_message_that_fails_each_time_ends_in_the_dead_letter_queue() -> None:
    failing = replace(QUEUE, item_s=90.0, timeout_s=60.0, visibility_s=100.0, receives=3)
    counts = run(iter([0.0]), failing, until=1000).counts[WORK]
    assert (counts.failed, counts.dead, counts.handled) == (3, 1, 0)


def test_a_queue_over_capacity_loses_messages_when_they_are_as_old_as_it_keeps_them() -> None:
    brief = replace(QUEUE, retention_s=600.0)
    # 4 per second come, 2 are handled: after 1,200 seconds the oldest is 600 seconds old.
    days = brief.days_until_loss(4.0)
    assert days * 86_400 == pytest.approx(1200)
    assert run(evenly(4.0, 1150), brief, until=1150).counts[WORK].lost == 0
    assert run(evenly(4.0, 1400), brief, until=1400).counts[WORK].lost > 100
    assert brief.days_until_loss(2.0) == float("inf")
    assert replace(QUEUE, retention_s=345_600.0).days_until_loss(4.0) == 8.0


def test_throttled_batches_wait_and_none_is_lost() -> None:
    wide = replace(QUEUE, most=50)
    found = run(evenly(10.0, 60), wide, until=600, concurrency=3.0)
    assert found.counts[WORK].throttled > 0
    assert found.counts[WORK].handled == 600


def test_reserved_concurrency_limits_a_function_and_leaves_the_rest_to_the_others() -> None:
    reserved = replace(QUEUE, most=50, reserved=2.0)
    found = run(evenly(4.0, 300), reserved, until=300)
    assert found.counts[WORK].handled == pytest.approx(600, rel=0.1)
    assert found.counts[WORK].throttled > 0


def test_shards_are_read_one_batch_at_a_time() -> None:
    stream = replace(STREAM, function=WORK, base_s=1.0, batch_size=10, lanes=2, poll_s=(0, 0.25))
    found = run(evenly(30.0, 100), stream, until=400)
    # Two shards with ten records in a second each.
    assert max(found.backlog[WORK]) == pytest.approx(100 * (30 - 20), rel=0.1)
    assert found.counts[WORK].handled == 3000


def test_a_stream_keeps_records_as_long_as_its_retention() -> None:
    stream = replace(STREAM, function=WORK, base_s=1.0, batch_size=1, retention_s=100.0)
    assert run(evenly(2.0, 190), stream, until=190).counts[WORK].lost == 0
    assert run(evenly(2.0, 400), stream, until=400).counts[WORK].lost > 0


def test_a_route_takes_a_burst_and_then_its_rate_and_clients_try_again() -> None:
    route = Hop(function=WORK, kind="route", item_s=0.1, timeout_s=3, rate=10.0, burst=20.0)
    once = run(iter([0.0] * 100), route, until=300, clients=Clients(tries=1))
    assert (once.counts[WORK].handled, once.counts[WORK].refused) == (20, 80)
    again = run(iter([0.0] * 100), route, until=300)
    assert again.counts[WORK].handled + again.counts[WORK].refused == 100
    assert again.counts[WORK].refused < 10
    assert again.counts[WORK].came == 100


def test_new_environments_start_cold_and_stay_warm() -> None:
    took = run(evenly(0.2, 100), QUEUE, STREAM, until=200).latencies()
    assert 0.2 < took[-1] - took[len(took) // 2] < 0.7


def test_a_slow_host_answers_one_request_after_the_other() -> None:
    within = Within(requests={"pay.example": 2.0})
    calling = replace(QUEUE, item_s=0.1, most=50, within=within)
    slow = Slow(host="pay.example", rate=10.0, slow_rate=1.0, start_s=100.0, end_s=200.0)
    found = run(evenly(3.0, 300), calling, STREAM, until=600, slow=slow)
    # 6 requests per second are less than 10, but more than 1.
    assert percentile(found.latencies(0, 90), 90) < 2
    assert percentile(found.latencies(150, 200), 50) > 20
    assert found.counts[WORK].handled == 900


def test_the_same_seed_gives_the_same_outcome() -> None:
    first, again, other = (
        run(spike(2.0, 3.0).arrivals(1), QUEUE, STREAM, until=900, seed=seed).latencies()
        for seed in (7, 7, 8)
    )
    assert first == again
    assert first != other


@pytest.mark.parametrize("name", [*PATTERNS])
def test_a_pattern_has_as_many_orders_as_its_rates_say(name: str) -> None:
    pattern = PATTERNS[name](0.5, 2.0)
    every = pattern.until_s / 10_000
    expected = sum(pattern.at(number * every) for number in range(10_000)) * every
    arrivals = [*pattern.arrivals(1)]
    assert len(arrivals) == pytest.approx(expected, rel=0.1)
    assert arrivals == sorted(arrivals)
    assert max(arrivals) < pattern.until_s


def test_patterns_are_quiet_before_and_after_an_overload() -> None:
    def rates(pattern: Pattern, *minutes: float) -> list[float]:
        return [round(pattern.at(60 * minute), 6) for minute in minutes]

    assert rates(step(1.0, 10.0), 4, 5, 29) == [1, 10, 10]
    assert rates(spike(1.0, 10.0), 4, 5, 9.9, 10) == [1, 10, 10, 1]
    assert rates(day(1.0, 10.0), 0, 6 * 60, 12 * 60, 18 * 60) == [1, 0, 1, 2]
