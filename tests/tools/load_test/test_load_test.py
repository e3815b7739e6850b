"""`make load` with a rate, from another process, against the endpoint of a rehearsal."""

import argparse
import json
import os
from math import isnan, nan
from pathlib import Path

import pytest

from cdk_rehearsal import Assembly
from stacks.environment import DEV, PROD, Environment
from tests.support.desk import beside
from tests.tools.load.measured import measured
from tests.tools.smoke.smoked import Smoked, opened, started
from tools.load.measuring import read_flow
from tools.load.settings import hops_of
from tools.load_test import driver
from tools.load_test.bounds import Bounds, Refused, check, duration
from tools.load_test.driver import LocustFailed, Orders, place
from tools.load_test.figures import Deepest, Figures
from tools.load_test.prediction import PLACE, per_second, predict, refused_share
from workspace.isolation import PROJECT

FLOW = PROJECT / "tests/tools/load/measured.json"
BOUNDS = Bounds(rate=2, seconds=3)
LOCAL = "http://127.0.0.1:5000"


def require_locust() -> None:
    """Without Locust's environment, skips the test, or fails it in continuous integration."""
    if not driver.site().is_dir():
        advice = "Locust is not installed: make .build/locust.stamp installs it"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(advice)


def test_a_load_is_predicted_measured_and_cleaned_up(assembly: Path, tmp_path: Path) -> None:
    require_locust()
    report = tmp_path / "load.json"
    with opened(assembly) as shop:
        process = started(
            *(shop, tmp_path, "tools.load_test", "--stage", "dev"),
            *("--rate", f"{BOUNDS.rate}", "--for", f"{BOUNDS.seconds}s"),
            *("--measured", str(FLOW), "--json", str(report)),
        )
        output = beside(shop, process)
        published = [record.detail["event"] for record in shop.meter.of("published")]
        left = Smoked(shop, 0, output, None).accounts()

    found = json.loads(report.read_text())
    assert found["passes"], output
    assert found["measured"]["failed"] == found["measured"]["refused"] == 0
    for figures in (found["predicted"], found["measured"]):
        assert figures["accepted_per_s"] == pytest.approx(BOUNDS.rate, rel=0.5)
        assert figures["confirmed_per_s"] > 0
        assert 0 < figures["confirmed_s"][0] <= figures["confirmed_s"][1]
    placed = [each for each in published if each["detail-type"].startswith("OrderPlaced.")]
    # Each of the two items was tried once before.
    assert len(placed) == BOUNDS.orders + 2
    assert all(each["detail"]["synthetic"] is True for each in placed)
    assert left == []
    rows = [line.split("  ")[0].strip() for line in output.splitlines()]
    assert "order to confirmation, p50 (s)" in rows
    assert "first bottleneck: Checkout/RunCheckout, at " in output


def test_what_locust_says_is_shown_if_it_fails() -> None:
    require_locust()
    broken = Orders(name="x", url="no-scheme", headers={}, bodies=[{}], tokens=["token"])
    with pytest.raises(LocustFailed, match=r"(?s)Locust ended with 0 after 0 orders:.*no-scheme"):
        place(broken, Bounds(rate=1, seconds=1), lambda: None)


def test_more_orders_than_checkout_carries_are_predicted_to_wait(assembly: Path) -> None:
    flow = read_flow(FLOW)
    assert flow is not None
    calm = predict(assembly, flow, Bounds(rate=2, seconds=60))
    full = predict(assembly, flow, Bounds(rate=60, seconds=60))

    assert "Notifications/SendEmail" not in calm.queues
    assert calm.figures.refused == 0
    assert calm.figures.accepted_per_s == 2
    assert calm.bottleneck.name == "Checkout/RunCheckout/Function"
    assert full.figures.deepest.messages > 10 * calm.figures.deepest.messages
    assert full.figures.confirmed_s[1] > 5 * calm.figures.confirmed_s[1]
    assert full.figures.confirmed_per_s == pytest.approx(
        calm.bottleneck.orders_per_second, rel=0.15
    )


def test_a_route_refuses_what_exceeds_its_rate_and_its_burst(assembly: Path) -> None:
    route = hops_of(Assembly(assembly), measured())[PLACE]

    assert refused_share(route, Bounds(rate=40, seconds=60)) == 0
    # 6,000 come; 2,400 and the burst of 80 are admitted.
    assert refused_share(route, Bounds(rate=100, seconds=60)) == pytest.approx(1 - 2480 / 6000)


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("5m", 300), ("1m30s", 90)])
def test_durations_are_read(text: str, seconds: int) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0s", "10", "-1s", "1h", "5 m", "1.5m"])
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is not a duration: write 90s, 5m"):
        duration(text)


@pytest.mark.parametrize(
    ("bounds", "stage", "endpoint", "says"),
    [
        (Bounds(rate=20.5, seconds=60), DEV, LOCAL, "dev is sized for 20 orders per second"),
        (Bounds(rate=1, seconds=901), DEV, None, "901 s are more than 900"),
        (Bounds(rate=1, seconds=60), PROD, None, "customers of prod would share it"),
    ],
    ids=["rate", "duration", "customers"],
)
def test_a_load_is_bounded_unless_that_is_forced(
    bounds: Bounds, stage: Environment, endpoint: str | None, says: str
) -> None:
    with pytest.raises(Refused, match=f"{says}.*add --force"):
        check(bounds, stage, endpoint=endpoint, force=False)
    check(bounds, stage, endpoint=endpoint, force=True)


@pytest.mark.parametrize(
    ("bounds", "endpoint", "says"),
    [
        (Bounds(rate=1, seconds=2701), None, "tokens are valid for an hour"),
        (Bounds(rate=1, seconds=60), "http://emulator.example:5000", "is not on this machine"),
        (Bounds(rate=1, seconds=60), "127.0.0.1:5000", "is not on this machine"),
    ],
    ids=["tokens", "another machine", "no URL"],
)
def test_some_loads_cannot_be_forced(bounds: Bounds, endpoint: str | None, says: str) -> None:
    with pytest.raises(Refused, match=says):
        check(bounds, DEV, endpoint=endpoint, force=True)


@pytest.mark.parametrize("endpoint", [None, LOCAL, "http://localhost:1", "http://[::1]:1"])
def test_dev_takes_its_full_rate_here_and_in_the_account(endpoint: str | None) -> None:
    check(Bounds(rate=20, seconds=900), DEV, endpoint=endpoint, force=False)


def test_a_late_order_does_not_lower_the_rate() -> None:
    assert per_second([*(n / 4 for n in range(40)), 500.0]) == pytest.approx(4)
    assert isnan(per_second([]))
    assert isnan(per_second([1.0]))


def test_figures_that_are_not_known_are_null_in_the_report() -> None:
    figures = Figures(
        accepted_per_s=1.0,
        refused=0,
        failed=0,
        answer_ms=(nan, nan),
        confirmed_per_s=nan,
        confirmed_s=(1.0, 2.0),
        deepest=Deepest("Checkout/RunCheckout", 3),
        oldest_s=nan,
        dead_letters=0,
    )
    assert figures.as_json()["oldest_s"] is None
    assert figures.as_json()["answer_ms"] == [None, None]
    assert figures.rows()["oldest message (s)"] == "unknown"
