"""The pace is that of real time, and faster where nothing happens."""

from types import SimpleNamespace
from typing import Any

import pytest

from tools.demo import pace
from tools.demo.pace import Pace


class FakeRehearsal:
    """A rehearsal in which something happens at each of some virtual times."""

    def __init__(self, *due: float) -> None:
        self.due = sorted(due)
        self.now = 0.0
        self.clock = SimpleNamespace(now=lambda: self.now)
        self.meter: Any = SimpleNamespace(records=[])

    def run_for(self, seconds: float) -> None:
        self.now += seconds
        while self.due and self.due[0] <= self.now:
            self.meter.records.append(self.due.pop(0))

    @property
    def idle(self) -> bool:
        return not self.due


class FakeClock:
    """A real-time clock that advances only during waits."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(pace, "_monotonic", lambda: self.now)
        monkeypatch.setattr(pace, "_pause", self.wait)

    def wait(self, seconds: float) -> None:
        self.now += seconds


BUSY = [number / 10 for number in range(1, 101)]
"""Something happens ten times a second, for ten seconds."""


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    return FakeClock(monkeypatch)


def run(shop: Any) -> None:
    Pace(shop).run_until(lambda: shop.idle, lambda: None)


def test_busy_time_passes_in_real_time(wall: FakeClock) -> None:
    run(FakeRehearsal(*BUSY))

    assert wall.now - 100 == pytest.approx(10, abs=0.1)


def test_long_wait_is_skipped(wall: FakeClock) -> None:
    shop = FakeRehearsal(1, 900)

    run(shop)

    assert shop.now >= 900
    assert wall.now - 100 < 5


def test_time_spent_on_work_is_made_up_for(
    wall: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = FakeRehearsal(*BUSY)
    slow = shop.run_for

    def run_for(seconds: float) -> None:
        slow(seconds)
        wall.now += 0.03

    monkeypatch.setattr(shop, "run_for", run_for)
    run(shop)

    assert wall.now - 100 == pytest.approx(10, abs=0.1)


class FakeViewer:
    """A viewer with wishes, who pauses once for some real seconds."""

    def __init__(self, wall: FakeClock, *, speed: float = 1.0, skips_quiet: bool = True) -> None:
        self.speed = speed
        self.skips_quiet = skips_quiet
        self.changes = 0
        self.pause_s = 0.0
        self._wall = wall

    def tick(self) -> None:
        if self.pause_s:
            self._wall.wait(self.pause_s)
            self.pause_s = 0.0
            self.changes += 1


def watched(shop: Any, viewer: FakeViewer) -> None:
    Pace(shop, viewer=viewer).run_until(lambda: shop.idle, lambda: None)


@pytest.mark.parametrize("speed", [0.25, 4, 20])
def test_the_viewer_chooses_the_speed(wall: FakeClock, speed: float) -> None:
    watched(FakeRehearsal(*BUSY), FakeViewer(wall, speed=speed))

    assert wall.now - 100 == pytest.approx(10 / speed, rel=0.1)


def test_the_demo_hastens_what_the_viewer_chose(wall: FakeClock) -> None:
    shop = FakeRehearsal(*BUSY)
    pace = Pace(shop, viewer=FakeViewer(wall, speed=0.5))  # type: ignore[arg-type]
    pace.run_until(lambda: shop.now >= 5, lambda: None)
    with pace.hastened(4):
        pace.run_until(lambda: shop.now >= 7, lambda: None)
    assert wall.now - 100 == pytest.approx(5 / 0.5 + 2 / 2, rel=0.1)
    pace.run_until(lambda: shop.idle, lambda: None)
    assert wall.now - 100 == pytest.approx(8 / 0.5 + 2 / 2, rel=0.1)


def test_quiet_time_is_not_skipped_if_the_viewer_does_not_want_it(wall: FakeClock) -> None:
    watched(FakeRehearsal(0.1, 60), FakeViewer(wall, skips_quiet=False))

    assert wall.now - 100 == pytest.approx(60, rel=0.1)


def test_the_time_of_a_pause_is_not_made_up_for(wall: FakeClock) -> None:
    viewer = FakeViewer(wall)
    viewer.pause_s = 30
    watched(FakeRehearsal(*BUSY), viewer)

    assert wall.now - 100 == pytest.approx(30 + 10, abs=0.2)
