"""`make load` and `make latency`: what they print, draw and refuse."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from random import Random
from xml.etree import ElementTree as ET

import pytest
from msgspec.structs import replace

from cdk_rehearsal import Assembly
from stacks.environment import BusKind
from tests.support.assemblies import assembly_directory
from tests.tools.load.measured import CHECKOUT, FILE, WAY, measured
from tools.load import __main__ as command
from tools.load import latency
from tools.load.flows import Flow
from tools.load.measuring import UNUSABLE, read_flow
from tools.load.settings import Hop, hops_of

QUIET = ("--rate", "0.2", "--factor", "2")
DROWNED = ("--pattern", "step", "--rate", "0.2", "--factor", "100")

pytestmark = pytest.mark.usefixtures("directory")


@pytest.fixture
def directory(
    monkeypatch: pytest.MonkeyPatch, shared_directory: Path, bus_kind: BusKind | None
) -> Path:
    """The templates of `prod`, which the commands take instead of synthesizing any."""
    found = assembly_directory("prod", shared_directory, bus=bus_kind)
    for module in (command, latency):
        monkeypatch.setattr(module, "host_assembly", lambda stage, bus: found)
        monkeypatch.setattr(module, "measure", lambda *_, **__: way())
    return found


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stage that carries few orders, whatever the real one carries."""

    def hops(assembly: Assembly, flow: Flow, quotas: Mapping[str, float]) -> dict[str, Hop]:
        found = hops_of(assembly, flow, quotas)
        return {**found, CHECKOUT: replace(found[CHECKOUT], most=5)}

    monkeypatch.setattr(command, "hops_of", hops)


def way() -> Flow:
    """The flow from an order to its confirmation, which takes little time to simulate."""
    flow = measured()
    return replace(flow, edges=[edge for edge in flow.edges if edge.target.function in WAY])


def run(
    monkeypatch: pytest.MonkeyPatch, *arguments: str, main: Callable[[], None] = command.main
) -> int | str | None:
    monkeypatch.setattr(sys, "argv", ["load", *arguments])
    try:
        main()
    except SystemExit as end:
        return end.code
    return 0


def test_it_says_what_waits_how_long_orders_take_and_that_the_stage_survives(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, *QUIET) == 0
    output = capsys.readouterr().out
    for line in (
        r"^prod, spike: 0\.2 orders per second, 0\.4 from minute 5 to 10: \d+ orders$",
        r"^none of the 3 hops has more waiting than one batch collects$",
        r"^before the overload( +[\d.]+){4}$",
        r"^during the overload( +[\d.]+){4}$",
        r"^later( +[\d.]+){4}$",
        r"^prod survives it: nothing is lost$",
    ):
        assert re.search(line, output, re.MULTILINE), line
    assert "loses the first message" not in output


@pytest.mark.usefixtures("small")
def test_a_backlog_that_grows_is_listed_with_the_day_on_which_messages_are_lost(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, *DROWNED) == 0
    output = capsys.readouterr().out
    assert re.search(
        r"^ +[\d,]+ +[\d,]+ +never +1\.00 +0 +0 +0  Checkout/RunCheckout$", output, re.MULTILINE
    )
    assert re.search(
        r"^Checkout/RunCheckout carries \S+ orders per second: at 20 without end, it loses the "
        r"first message after \d+\.\d days$",
        output,
        re.MULTILINE,
    )
    assert output.endswith("prod has lost nothing yet; the most waits at Checkout/RunCheckout\n")


def test_requests_that_clients_give_up_are_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "quotas.toml"
    file.write_text("[lambda]\nconcurrent_executions = 2\n", encoding="utf-8")
    run(monkeypatch, "--rate", "2", "--factor", "20", "--quotas", str(file))
    output = capsys.readouterr().out
    assert re.search(r", but clients give up [\d,]+ requests; the most waits at ", output)


def test_what_is_not_survived_ends_it_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    unusable = ("--slow", "api.stripe.com=3,0.01", "--rate", "1", "--factor", "2")
    assert run(monkeypatch, *unusable) == command.OVERLOADED
    assert "prod does not survive it" in capsys.readouterr().out


def test_dead_letters_are_not_survived_even_if_no_backlog_is_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def hops(assembly: Assembly, flow: Flow, quotas: Mapping[str, float]) -> dict[str, Hop]:
        found = hops_of(assembly, flow, quotas)
        return {**found, CHECKOUT: replace(found[CHECKOUT], visibility_s=0.2, receives=2)}

    monkeypatch.setattr(command, "hops_of", hops)
    assert run(monkeypatch, *QUIET) == command.OVERLOADED
    output = capsys.readouterr().out
    row = re.search(r"^.* (\S+ s) .* ([\d,]+) +0 +0  Checkout/RunCheckout$", output, re.MULTILINE)
    assert row
    assert row[1] == "0 s"
    assert int(row[2].replace(",", "")) > 100


def test_without_a_rate_the_overload_is_more_than_the_stage_carries(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], directory: Path
) -> None:
    flow = way()
    hops = hops_of(Assembly(directory), flow)
    carried = command.carried(flow, hops)
    checkout = hops[CHECKOUT].items_per_second() / command.items(flow)[CHECKOUT]
    assert carried == pytest.approx(checkout)
    assert run(monkeypatch, "--factor", "1.5") == 0
    found = re.search(r"spike: (\S+) orders per second", capsys.readouterr().out)
    assert found
    assert float(found[1]) == pytest.approx(carried / 4, rel=0.01)


def test_a_report_is_written_and_its_flow_can_be_read_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "load.json"
    assert run(monkeypatch, *QUIET, "--json", str(file)) == 0
    first = capsys.readouterr().out
    report = json.loads(file.read_text(encoding="utf-8"))
    assert report["holds"] is True
    assert report["hops"][CHECKOUT]["handled"] > 0
    assert len(report["hops"][CHECKOUT]["backlog"]) == len(report["at_s"])
    assert set(report["confirmed_s"]["later"]) == {"p50", "p90", "p99"}
    assert read_flow(file) == way()
    monkeypatch.delattr(command, "measure")
    assert run(monkeypatch, *QUIET, "--measured", str(file)) == 0
    assert capsys.readouterr().out == first


@pytest.mark.usefixtures("small")
def test_a_chart_shows_each_panel_on_light_and_dark_pages_and_loads_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "load.svg"
    assert run(monkeypatch, *DROWNED, "--svg", str(file)) == 0
    text = file.read_text(encoding="utf-8")
    root = ET.fromstring(text)
    name = "{http://www.w3.org/2000/svg}"
    words = [each.text or "" for each in root.iter(f"{name}text")]
    for title in (
        "orders per second",
        "waiting",
        "age of the oldest, s",
        "order to confirmation, s",
    ):
        assert title in words
    assert "Checkout/RunCheckout" in words
    lines = [each.get("points", "") for each in root.iter(f"{name}polyline")]
    assert len(lines) == 5
    assert all(len(line.split()) > 50 for line in lines)
    assert "prefers-color-scheme: dark" in text
    assert not re.search(r"""(?:href|src|url)\s*[=(]""", text)


@pytest.mark.parametrize(
    ("arguments", "content", "says"),
    [
        (("--rate", "0"), "", "'0' is not a number over 0"),
        (("--pattern", "week"), "", "invalid choice: 'week'"),
        (("--slow", "api.stripe.com=3"), "", "is not HOST=NORMAL,SLOW: give requests per second"),
        (("--slow", "a.example=3,1"), "", "no handler calls 'a.example': name one of api."),
        (("--measured", "FILE"), "{}", "is no report of make load"),
        (("--measured", "FILE"), "[", "is no report of make load"),
        (("--measured", "absent.json"), "", "absent.json"),
        (("--quotas", "FILE"), "[lambda]\nthreads = 1", "there is no limit 'lambda.threads': give"),
        (("--json", "absent/load.json"), "", "absent"),
        (("--svg", "absent/load.svg"), "", "absent"),
    ],
    ids=[
        *("rate", "pattern", "slow", "unknown host", "no report", "no JSON", "no file"),
        *("unknown quota", "no folder", "no folder for the chart"),
    ],
)
def test_wrong_options_are_named(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    arguments: tuple[str, str],
    content: str,
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "file"
    file.write_text(content, encoding="utf-8")
    given = (arguments[0], str(file) if arguments[1] == "FILE" else arguments[1])
    assert run(monkeypatch, *given) == UNUSABLE
    assert says in capsys.readouterr().err


def test_a_flow_of_other_templates_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "other.json"
    other = FILE.read_text(encoding="utf-8").replace("Checkout/RunCheckout", "Checkout/Gone")
    file.write_text(other, encoding="utf-8")
    for main in (command.main, latency.main):
        assert run(monkeypatch, "--measured", str(file), main=main) == UNUSABLE
        assert "passed Checkout/Gone/Function, which no mapping" in capsys.readouterr().err


def test_latency_lists_each_wait_and_names_the_longest(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, main=latency.main) == 0
    output = capsys.readouterr().out
    legs = [
        "route in front of Orders/PlaceOrder",
        "Orders/PlaceOrder",
        "table in front of Orders/Orders/Relay",
        "Orders/Orders/Relay",
        "bus in front of Checkout/RunCheckout",
        "queue in front of Checkout/RunCheckout",
        "Checkout/RunCheckout",
        "workflow of Checkout/RunCheckout",
        "functions of the workflow of Checkout/RunCheckout",
        "order to confirmation, warm",
        "order to confirmation, each function cold",
    ]
    rows = re.findall(r"^ +([\d,]+) +([\d,]+) +([\d,]+)  (.*)$", output, re.MULTILINE)
    assert [name for *_, name in rows] == legs
    median = {name: int(p50.replace(",", "")) for p50, _, _, name in rows}
    assert median[legs[2]] == pytest.approx(213, abs=5)
    assert median[legs[-1]] > median[legs[-2]] + 1000
    assert "The longest wait is the table in front of Orders/Orders/Relay: " in output
    assert "Amazon Key: its events on EventBridge, 2,000 per second: -, -, 80, -; " in output
    assert "a new environment of a function: 100 to 1000; " in output


def test_each_figure_names_its_page_and_when_it_was_read() -> None:
    found = latency.figures()
    assert {"route", "table", "bus", "queue", "workflow", "cold start"} <= {
        figure.wait for figure in found
    }
    for figure in found:
        assert figure.page.startswith("https://"), figure.says
        assert date(2026, 1, 1) < figure.read < date(2030, 1, 1)
        numbers = [each for each in (figure.p10, figure.p50, figure.p90, figure.p99) if each]
        assert numbers == sorted(numbers), figure.says
        assert bool(numbers) != bool(figure.range), figure.says


def test_drawn_latencies_have_the_published_percentiles() -> None:
    bus = next(figure for figure in latency.figures() if figure.wait == "bus")
    random = Random(1)
    drawn = sorted(bus.draw(random) for _ in range(20_000))
    for share, published in ((0.1, bus.p10), (0.5, bus.p50), (0.9, bus.p90)):
        assert drawn[int(share * 20_000)] == pytest.approx(published, rel=0.03)
    assert drawn[-1] == bus.p99
