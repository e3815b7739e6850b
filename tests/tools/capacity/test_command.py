"""`make capacity`: what it prints, and what it refuses."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cdk_rehearsal import Assembly, Load, capacity_of, quotas_of
from stacks.constructs.queue_consumer import SPARE
from stacks.environment import environment_named
from tests.conftest import STAGES
from tools.capacity import __main__ as command

MEASURED = Path(__file__).with_name("measured.json")
"""What `make capacity` has measured and written with --json: only the load of an order is read."""

GRANTED = {
    "apigateway.requests_per_second": 100_000,
    "dynamodb.table_write_units": 400_000,
    "lambda.concurrent_executions": 100_000,
    "scheduler.creations_per_second": 50_000,
    "scheduler.invocations_per_second": 50_000,
    "scheduler.schedules": 1_000_000_000,
}


def measured() -> Load:
    load = command._read(MEASURED)
    assert load is not None
    return load


PAYING = {"Checkout/RunCheckout/Function", "Payments/CapturePayment/Function"}
"""Consumers that are sized for the rate of the payment provider."""


@pytest.fixture
def directory(monkeypatch: pytest.MonkeyPatch, assembly: Path) -> Path:
    """The templates of `dev`, which the command takes instead of synthesizing any."""
    monkeypatch.setattr(command, "host_assembly", lambda stage, bus: assembly)
    monkeypatch.setattr(command, "measure", lambda *_, **__: measured())
    return assembly


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int | str | None:
    monkeypatch.setattr(sys, "argv", ["capacity", *arguments])
    with pytest.raises(SystemExit) as end:
        command.main()
    return end.value.code


@pytest.mark.parametrize("stage", STAGES)
def test_consumers_and_routes_carry_the_rate_of_their_stage_with_some_to_spare(
    templates: Mapping[str, Assembly], stage: str
) -> None:
    """If this fails, a `seconds_per_order` or `per_order` in stacks/ is less than was measured."""
    found = capacity_of(templates[stage], measured(), quotas_of({}))
    sized = environment_named(stage)
    settings = {"ScalingConfig.MaximumConcurrency", "ThrottlingRateLimit"}
    slow = {
        hop.name
        for hop in found.short_of(sized.orders_per_second * SPARE)
        if hop.limit in settings and "/Send" not in hop.name
    }
    paid = {hop.name for hop in found.short_of(sized.payments_per_second * SPARE)}
    assert slow - PAYING == paid & PAYING == set()


@pytest.mark.parametrize("stage", STAGES)
def test_consumers_at_their_maximum_leave_the_rest_of_the_account_to_requests_and_workflows(
    templates: Mapping[str, Assembly], stage: str
) -> None:
    """The default is 1,000: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html."""
    shop, rate = templates[stage], environment_named(stage).orders_per_second
    consumers, fed = 0, set()
    for mapping in shop.of_type("AWS::Lambda::EventSourceMapping"):
        consumers += mapping.properties.get("ScalingConfig", {}).get("MaximumConcurrency", 4)
        fed.add(shop.referred(mapping.stack, mapping.properties["FunctionName"]).path)
    others = sum(busy for path, busy in measured().busy_s.items() if path not in fed)
    assert others > 0
    assert consumers + rate * others <= 1_000


def test_prod_carries_250_orders_per_second_on_default_quotas_but_for_known_ones(
    templates: Mapping[str, Assembly],
) -> None:
    """Messages wait, and schedules count over days. After a change that lifts one of them, measure
    again: docs/how-to/find-the-bottleneck.md.
    """
    found = capacity_of(templates["prod"], measured(), quotas_of(command._stated("prod")))
    known = [(hop.name, hop.limit) for hop in found.short_of(250) if not hop.grows]
    assert known == [
        ("sesv2:SendEmail", "ses.sends_per_second"),
        ("Notifications/SendEmail/Function", "ScalingConfig.MaximumConcurrency"),
        ("Checkout/RunCheckout/Function", "ScalingConfig.MaximumConcurrency"),
        ("Payments/CapturePayment/Function", "ScalingConfig.MaximumConcurrency"),
        ("sns:SMS", "sns.sms_per_second"),
        ("Notifications/SendSms/Function", "ScalingConfig.MaximumConcurrency"),
        ("schedules", "scheduler.schedules"),
        # 245 orders per second. Functions that wait have less memory, which costs less.
        ("all functions", "lambda.concurrent_executions"),
    ]


def test_no_design_limit_of_prod_remains_if_enough_is_granted(
    templates: Mapping[str, Assembly],
) -> None:
    found = capacity_of(templates["prod"], measured(), quotas_of(GRANTED))
    assert [hop.name for hop in found.short_of(1000) if hop.remedy != "setting"] == []


@pytest.mark.usefixtures("directory")
def test_the_table_says_what_limits_each_hop_and_what_to_raise(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch) == 0
    output = capsys.readouterr().out
    for line in (
        r"Notifications/SendEmail: 2 at once, \d+ ms for a batch of 1, .*"
        r"; raise emails_per_second in stacks/environment.py",
        r"sesv2:SendEmail: .*; raise the quota ses.sends_per_second, then emails_per_second in ",
        r"POST /carrier/events: .* 120 a second are allowed"
        r"; raise per_order of the callback in its stack",
        r"POST /orders: .*; raise orders_per_second in stacks/environment.py",
        r"Checkout/RunCheckout: 30 at once, .*; raise orders_per_second or "
        r"stripe_requests_per_second in stacks/environment.py",
        r"all functions: .*; raise the quota lambda.concurrent_executions \(L-B99A9384\)",
        r"Analytics/Sales/Table: .* on the key \S+ .*"
        r"; a design limit \(dynamodb.partition_write_units\)",
        r"\+ Orders/Orders/Relay: 4 at once, .*; raise WarmThroughput of the table, or wait",
        r"first bottleneck: \S.* orders per second: raise ",
    ):
        assert re.search(line, output), line
    rates = [float(each.replace(",", "")) for each in re.findall(r"^ *([\d.,]+)\+? \S+", output)]
    assert rates == sorted(rates)


@pytest.mark.usefixtures("directory")
def test_a_chart_has_the_lowest_hops_and_none_that_grow(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "capacity.svg"
    assert run(monkeypatch, "--svg", str(file)) == 0
    text = file.read_text(encoding="utf-8")
    assert ">sesv2:SendEmail (quota)</text>" in text
    assert ">Checkout/RunCheckout (setting)</text>" in text
    assert "Relay" not in text


@pytest.mark.usefixtures("directory")
def test_with_a_rate_it_lists_only_what_does_not_carry_it_and_ends_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--orders-per-second", "0.5") == 0
    assert " none\n" in capsys.readouterr().out
    assert run(monkeypatch, "--orders-per-second", "250") == command.SHORT
    output = capsys.readouterr().out
    assert "Notifications/SendEmail: " in output
    assert "DELETE /orders/{order_id}: " not in output


@pytest.mark.usefixtures("directory")
def test_quotas_of_an_account_move_the_bottleneck(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "quotas.toml"
    file.write_text("[lambda]\nconcurrent_executions = 2\n", encoding="utf-8")
    assert run(monkeypatch, "--quotas", str(file)) == 0
    assert "first bottleneck: all functions, at " in capsys.readouterr().out


@pytest.mark.usefixtures("directory")
def test_everything_is_written_as_json_and_can_be_read_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "capacity.json"
    assert run(monkeypatch, "--json", str(file)) == 0
    first = capsys.readouterr().out
    report: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    assert f"first bottleneck: {report['bottleneck'].removesuffix('/Function')}, at " in first
    assert msgspec.convert(report["load"], Load) == measured()
    monkeypatch.delattr(command, "measure")
    assert run(monkeypatch, "--measured", str(file)) == 0
    assert capsys.readouterr().out == first


@pytest.mark.parametrize(
    ("arguments", "content", "says"),
    [
        (("--orders-per-second", "0"), "", "'0' is not a number over 0"),
        (("--quotas", "FILE"), "[lambda]\nthreads = 1", "there is no limit 'lambda.threads': give"),
        (("--quotas", "FILE"), "[lambda", "Expected"),
        (("--quotas", "absent.toml"), "", "absent.toml"),
        (("--measured", "FILE"), "{}", "is no report of make capacity"),
        (("--measured", "FILE"), "[", "is no report of make capacity"),
    ],
    ids=["rate", "unknown quota", "no TOML", "no file", "no report", "no JSON"],
)
@pytest.mark.usefixtures("directory")
def test_wrong_options_are_named(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    arguments: tuple[str, str],
    content: str,
    says: str,
) -> None:
    file = tmp_path / "file"
    file.write_text(content, encoding="utf-8")
    given = (arguments[0], str(file) if arguments[1] == "FILE" else arguments[1])
    assert run(monkeypatch, *given) == command.UNUSABLE
    assert says in capsys.readouterr().err
