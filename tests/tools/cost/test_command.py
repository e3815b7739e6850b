"""`make cost`: what it prints, and what it refuses."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from cdk_rehearsal import Assembly, MeteredBill, Use, idle_bill, metered_bill, prices
from stacks.environment import environment_named
from tests.conftest import STAGES
from tools.cost import __main__ as command

MEASURED = Path(__file__).with_name("measured.json")
"""The bill of an order, which `make cost` has metered: `order` of its --json, summed by price."""

USES = {
    Use("write_unit", "writes", "Orders/PlaceOrder"): 200.0,
    Use("trace", "traces", "Orders/PlaceOrder"): 10.0,
    Use("queue_request", "receives", "Checkout/RunCheckout/Queue"): 30.0,
    Use("email", "e-mails", "Notifications/SendEmail/Function"): 5.0,
}
UNKNOWN = Use("custom_bus_kb_in", "events published", "Orders/Orders/Relay")


def bill(**uses: float) -> MeteredBill:
    more = {UNKNOWN: uses["unknown"]} if uses else {}
    per_month = {Use("metric", "custom metrics", "custom metrics"): 3.0}
    known = prices("us-east-1")
    return metered_bill({**USES, **more}, known, orders=10, rate=0.4, per_month=per_month)


def run(
    monkeypatch: pytest.MonkeyPatch, assembly: Path, found: MeteredBill, *arguments: str
) -> int | str | None:
    monkeypatch.setattr(sys, "argv", ["cost", *arguments])
    monkeypatch.setattr(command, "host_assembly", lambda stage, bus: assembly)
    monkeypatch.setattr(command, "rehearsed", lambda *_, **__: found)
    with pytest.raises(SystemExit) as end:
        command.main()
    return end.value.code


def test_a_chart_has_a_bar_for_each_kind_that_costs_a_dollar(
    monkeypatch: pytest.MonkeyPatch, assembly: Path, tmp_path: Path
) -> None:
    file = tmp_path / "cost.svg"
    assert run(monkeypatch, assembly, bill(), "--svg", str(file)) == 0
    text = file.read_text(encoding="utf-8")
    assert "prod: USD per million orders, 19 in all" in text
    assert text.count('class="bar"') == 3
    assert ">DynamoDB: writes</text>" in text


def test_it_prints_dollars_per_million_orders_by_service_context_hop_and_kind(
    monkeypatch: pytest.MonkeyPatch, assembly: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, assembly, bill(), "--orders-per-day", "1000") == 0
    output = capsys.readouterr().out
    for line in (
        "12.50  DynamoDB",
        "17.50  Orders",
        "1.20  Checkout/RunCheckout",
        "5.00  X-Ray: traces",
        "18.70  USD per million orders, 5.00 of them for traces",
        "0.5  email",
        "0.90  custom metrics",
    ):
        assert f" {line}\n" in output, line
    assert "USD a month, idle\n" in output
    assert "USD a month, 1000 orders a day\n" in output


def test_what_has_no_price_ends_it_with_1_and_says_how_to_give_one(
    monkeypatch: pytest.MonkeyPatch, assembly: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, assembly, bill(unknown=90)) == command.UNPRICED
    assert (
        "no price is known for custom_bus_kb_in (9 for one order): "
        "give it with --price custom_bus_kb_in=USD\n"
    ) in capsys.readouterr().out


def test_everything_is_written_as_json(
    monkeypatch: pytest.MonkeyPatch, assembly: Path, tmp_path: Path
) -> None:
    file = tmp_path / "bill.json"
    arguments = ("--json", str(file), "--orders-per-day", "50")
    assert run(monkeypatch, assembly, bill(), *arguments) == 0
    report = json.loads(file.read_text())
    assert report["order"]["usd"] == pytest.approx(18.70e-6)
    assert report["order"]["outside"] == {"email": 0.5}
    assert report["idle"]["usd"] > 0
    (month,) = report["months"]
    assert month["orders_per_day"] == 50


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--rate", "0"), "'0' is not a number over 0"),
        (("--orders-per-day", "many"), "'many' is not a number over 0"),
        (("--price", "trace"), "'trace' is not NAME=USD"),
        (("--price", "trace=x"), "'trace=x' is not NAME=USD"),
        (("--region", "mars-1"), "there are no prices of 'mars-1'"),
        (("--orders", "absent.csv"), "absent.csv"),
    ],
)
def test_wrong_options_are_named(
    monkeypatch: pytest.MonkeyPatch,
    assembly: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, str],
    says: str,
) -> None:
    assert run(monkeypatch, assembly, bill(), *arguments) == command.UNUSABLE
    assert says in capsys.readouterr().err


def test_a_price_can_be_given(monkeypatch: pytest.MonkeyPatch, assembly: Path) -> None:
    given = []
    monkeypatch.setattr(sys, "argv", ["cost", "--price", "custom_bus_kb_in=0.5"])
    monkeypatch.setattr(command, "host_assembly", lambda stage, bus: assembly)

    def rehearsed(_: object, __: object, known: object, **___: object) -> MeteredBill:
        given.append(known)
        return bill()

    monkeypatch.setattr(command, "rehearsed", rehearsed)
    with pytest.raises(SystemExit):
        command.main()
    assert given[0]["custom_bus_kb_in"].usd == 0.5  # type: ignore[index]


@pytest.mark.usefixtures("default_bus")
@pytest.mark.parametrize("stage", STAGES)
def test_the_budget_of_a_stage_is_its_predicted_bill_with_some_to_spare(
    templates: Mapping[str, Assembly], stage: str
) -> None:
    """After a change of the bill, meter it again, and set usd_per_month."""
    environment, known = environment_named(stage), prices("us-east-1")
    metered = msgspec.convert(json.loads(MEASURED.read_bytes()), MeteredBill)
    idle = idle_bill(templates[stage], known)
    predicted = metered.month(environment.orders_per_day, idle, known)
    assert predicted <= environment.usd_per_month <= 1.5 * predicted
