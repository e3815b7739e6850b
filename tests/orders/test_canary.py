"""The canary of `prod`: its orders end, no count of customers' orders has them, and an alarm fires
without them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cdk_rehearsal import Record, Rehearsal
from tests.support.assemblies import assembly_directory
from tools.demo import schedules
from tools.demo.audit import audit
from tools.demo.evidence import Evidence, gather
from tools.demo.hops import HopCounts
from tools.demo.timeline import Timelines
from tools.faults.state import ShopState

HOUR_S = 3600.0


@dataclass
class Live:
    """The application of `prod` in virtual time, and what the demo counts."""

    assembly: Path
    counts: HopCounts = field(default_factory=HopCounts)
    timelines: Timelines = field(default_factory=lambda: Timelines({}))

    def __post_init__(self) -> None:
        self.shop = Rehearsal(self.assembly, seed=1, on_record=self._on_record)

    def _on_record(self, record: Record) -> None:
        self.counts.on_record(record)
        self.timelines.on_record(record)

    def alarm(self) -> str:
        """Returns the state of the canary's alarm."""
        name = self.shop.physical_id("Orders/CanaryOverdue")
        (found,) = self.shop.client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]
        state: str = found["StateValue"]
        return state


@pytest.fixture(scope="module")
def live(shared_directory: Path) -> Iterator[Live]:
    """The application after two hours without customers."""
    live = Live(assembly_directory("prod", shared_directory))
    with live.shop:
        live.shop.run_for(2 * HOUR_S - 60)
        yield live


def test_each_half_hour_an_order_is_placed_and_ends(live: Live) -> None:
    assert [*ShopState(live.shop).order_statuses(synthetic=True).values()] == ["rejected"] * 4
    assert live.alarm() == "OK"


def test_canary_orders_count_nowhere_among_those_of_customers(live: Live) -> None:
    assert live.shop.meter.of("published")
    assert (live.timelines.by_order, live.counts.published.total()) == ({}, 0)
    evidence = gather(live.shop, Evidence())
    assert (evidence.orders, evidence.committed, evidence.published) == ({}, {}, [])
    assert [check for check in audit(evidence) if not check.holds] == []


def test_events_of_a_release_that_marks_none_as_synthetic_count_nowhere(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tools.demo.evidence.is_synthetic", lambda envelope: False)
    evidence = gather(live.shop, Evidence())
    assert (evidence.orders, evidence.committed, evidence.published) == ({}, {}, [])


def test_the_alarm_fires_if_the_schedule_is_disabled_or_deleted(live: Live) -> None:
    resume = schedules.disable(live.shop, schedules.CANARY)
    live.shop.run_for(2 * HOUR_S)
    assert live.alarm() == "ALARM"

    resume()
    live.shop.run_for(60)
    assert live.alarm() == "OK"

    schedule = live.shop.resource(schedules.CANARY)
    live.shop.client("scheduler").delete_schedule(
        Name=schedule.physical_id, GroupName=schedule.properties["GroupName"]
    )
    live.shop.run_for(2 * HOUR_S)
    assert live.alarm() == "ALARM"
