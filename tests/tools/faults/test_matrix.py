"""The matrix finds what is lost or doubled, and nothing else."""

import re
from collections import Counter
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from cdk_rehearsal import Assembly, Fault, FaultSite, forked
from tools.faults import injection, report
from tools.faults.case import Case, CaseResult, EndState, Verdict
from tools.faults.injection import SIGNED
from tools.faults.kinds import CALLBACKS, KINDS, FaultKind, injected
from tools.faults.matrix import Baseline, BaselineError, baselines, plan, run_cases
from tools.faults.scenarios import SCENARIOS, FaultScenario
from tools.faults.shop import RehearsedShop

CHECKOUT = "-> Checkout/RunCheckout/Queue"
QUEUE = "queue Checkout/RunCheckout/Queue -> Checkout/RunCheckout/Function"
RELAY = "Orders/Orders/Relay -> Backbone/Bus"
ADDRESSED = FaultSite(
    "queue", "Notifications/AddressCustomer/Queue", "Notifications/AddressCustomer/Function"
)
ADDRESSING = "-> Notifications/AddressCustomer/Queue"


def _site(baseline: Baseline, line: str) -> FaultSite:
    """The only site whose line contains a text. Rules and subscribers lead to the same queues."""
    (site,) = (site for site in baseline.sites if line in str(site))
    return site


def _run(shop: RehearsedShop, baseline: Baseline, kind: FaultKind, site: FaultSite) -> CaseResult:
    case = Case(kind, site, baseline.scenario, baseline.end)
    (result,) = run_cases(shop, [case], seed=1, at_once=1)
    return result


@pytest.mark.parametrize(
    ("name", "site", "verdict"),
    [
        ("duplicate", CHECKOUT, Verdict.HELD),
        ("partial", RELAY, Verdict.HELD),
        ("raises-on", QUEUE, Verdict.RECOVERED),
    ],
    ids=str,
)
def test_a_fault_loses_and_doubles_nothing(
    open_shop: RehearsedShop, baseline: Baseline, name: str, site: str, verdict: Verdict
) -> None:
    result = _run(open_shop, baseline, KINDS[name], _site(baseline, site))
    assert (result.verdict, result.problems) == (verdict, [])
    assert bool(result.parked) == (verdict is Verdict.RECOVERED)


def test_a_vanished_event_is_found(open_shop: RehearsedShop, baseline: Baseline) -> None:
    vanishes = injected(Fault("vanishes", "nothing arrives", "way", lambda random: ()))
    result = _run(open_shop, baseline, vanishes, _site(baseline, ADDRESSING))
    assert result.verdict is Verdict.VIOLATED
    assert any("are due" in problem for problem in result.problems), result.problems
    assert any("name=vanishes" in line for line in result.trace), result.trace


@pytest.mark.parametrize(
    ("site", "verdict"), [(ADDRESSING, Verdict.DETECTED), (CHECKOUT, Verdict.VIOLATED)], ids=str
)
def test_a_scenario_proves_nothing_about_an_edge_that_it_does_not_need(
    open_shop: RehearsedShop, baseline: Baseline, site: str, verdict: Verdict
) -> None:
    # An order is cancelled even if checkout never receives it.
    assert _run(open_shop, baseline, KINDS["lost"], _site(baseline, site)).verdict is verdict


def test_a_fault_that_never_acts_proves_nothing(
    open_shop: RehearsedShop, baseline: Baseline
) -> None:
    # No deadline passes in this scenario, so nothing is delivered there.
    site = FaultSite("queue", "Shipping/WatchDeadline/Queue", "Shipping/WatchDeadline/Function")
    assert site not in baseline.sites
    assert _run(open_shop, baseline, KINDS["raises"], site).verdict is Verdict.INACTIVE


def test_each_site_has_each_fault_or_a_reason_against_it(
    open_shop: RehearsedShop, baseline: Baseline
) -> None:
    todo = plan(open_shop, [baseline], lambda kind, site: True)
    sites = {case.site for case in todo.cases}
    planned = {(each.site, each.fault) for each in todo.impossible}
    planned |= {(case.site, case.kind.name) for case in todo.cases}
    assert planned == {(site, name) for site in sites for name in KINDS}
    assert all(result.problems[0] for result in todo.impossible)
    assert len({case.kind.name for case in todo.cases if not case.site.synchronous}) >= 15
    assert todo.unreached  # One scenario does not reach every edge, and the plan reports that.


def test_the_routes_whose_callers_sign_are_those_of_the_templates(assembly: Path) -> None:
    signed = {
        function.path
        for function in Assembly(assembly).of_type("AWS::Lambda::Function")
        if "CALLBACK_SECRET_ARN" in str(function.properties.get("Environment"))
    }
    assert signed == CALLBACKS
    routes = {
        route.properties["RouteKey"]
        for route in Assembly(assembly).of_type("AWS::ApiGatewayV2::Route")
        if route.properties.get("AuthorizationType") != "JWT"
    }
    assert routes == {*SIGNED}


@pytest.mark.parametrize("refused", [False, True])
def test_a_request_that_has_to_be_refused_and_is_taken_is_a_violation(
    open_shop: RehearsedShop, baseline: Baseline, refused: bool
) -> None:
    site = FaultSite("route", "Backbone/Api/Http", "Orders/CancelOrder")
    kind = replace(KINDS["sent-twice"], refused=refused)
    result = _run(open_shop, baseline, kind, site)
    assert result.verdict is (Verdict.VIOLATED if refused else Verdict.HELD)
    taken = "DELETE /orders/{order_id}: sent-twice, but answered 200, not 401"
    assert result.problems == ([taken] * 2 if refused else [])


def test_parked_messages_survive_a_month_outside_their_queue(
    open_shop: RehearsedShop, baseline: Baseline
) -> None:
    kind = replace(KINDS["raises-on"], end=injection.wait_for_a_month)
    result = _run(open_shop, baseline, kind, ADDRESSED)
    assert (result.verdict, result.problems) == (Verdict.RECOVERED, [])


def test_a_route_runs_in_the_scenario_that_is_about_its_function(
    open_shop: RehearsedShop, baseline: Baseline
) -> None:
    """All routes have the same source, so the source does not tell them apart."""
    site = FaultSite("route", "Backbone/Api/Http", "Payments/TakeProviderEvent")
    known = [
        replace(baseline, scenario=SCENARIOS[name], sites=frozenset({site}))
        for name in ("cancelled", "disputed")
    ]
    wanted = plan(open_shop, known, lambda kind, _: kind.name == "sent-twice")
    assert [case.scenario.name for case in wanted.cases] == ["disputed"]


def test_a_scenario_that_parks_a_message_without_a_fault_is_an_error(
    open_shop: RehearsedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue, *_ = open_shop.rehearsal.dead_letter_queues()

    def parks(shop: RehearsedShop) -> None:
        """A message is parked."""
        shop.rehearsal.queues.by_path(queue).send("{}")

    monkeypatch.setitem(SCENARIOS, "parks", FaultScenario(parks, ()))
    with pytest.raises(BaselineError, match=f"1 messages are parked in {queue}"):
        baselines(open_shop, at_once=1, names=["parks"])


def test_an_order_that_is_cancelled_because_its_parcel_stayed_may_end_so_after_a_fault() -> None:
    delivered, unpaid = (EndState({"order-1": status}, {}) for status in ("delivered", "unpaid"))
    assert unpaid.differences(delivered) == []
    assert delivered.differences(unpaid) != []
    rejected = EndState({"order-1": "rejected"}, {})
    assert rejected.differences(delivered) != []
    assert rejected.differences(delivered, "rejected") == []


def test_synthetic_orders_are_compared_by_their_ends_and_not_by_their_number() -> None:
    rejected, open_ = (EndState({}, {}, frozenset(each)) for each in (["rejected"], ["placed"]))
    assert rejected.differences(rejected) == []
    assert rejected.differences(rejected, "rejected") == []
    assert open_.differences(rejected) == [
        "synthetic orders end as ['placed'], but as ['rejected'] without the fault"
    ]
    assert EndState({}, {}).differences(rejected) != []
    assert EndState({}, {}, frozenset({"rejected", "expired"})).differences(rejected) == []


def test_no_canary_order_is_placed_in_the_weeks_of_a_case(open_shop: RehearsedShop) -> None:
    def days_pass() -> int:
        before = len(open_shop.order_statuses(synthetic=True))
        open_shop.pass_time(days=2)
        return len(open_shop.order_statuses(synthetic=True)) - before

    (fork,) = forked([days_pass], at_once=1)
    assert fork.value == 0, fork.error


ROUTED = FaultSite("rule", "Checkout/RunCheckout/Rule", "Checkout/RunCheckout/Queue")
QUEUED = FaultSite("queue", "Checkout/RunCheckout/Queue", "Checkout/RunCheckout/Function")
CALLED = FaultSite("call", "Orders/Orders/Relay", "Backbone/Bus", "events.PutEvents")


def test_the_report_shows_each_case_and_how_to_repeat_it() -> None:
    results = [
        CaseResult("duplicate", ROUTED, "cancelled", 7, Verdict.HELD),
        CaseResult("partial", CALLED, "cancelled", 7, Verdict.VIOLATED, problems=["lost <it>"]),
        CaseResult("raises", ROUTED, "", 0, Verdict.IMPOSSIBLE, problems=["no handler runs here"]),
    ]
    console = Console(file=StringIO(), width=200)
    report.show(console, results, unreached=[QUEUED])
    report.show_violation(console, results[1])
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "1 held" in shown
    assert "1 violated" in shown
    assert "· no handler runs here" in shown
    assert f"no scenario passes {QUEUED}: add one" in shown
    assert f"--fault partial --edge '{CALLED}' --seed 7" in shown


@pytest.mark.parametrize("width", [24, 40, 60, 80, 100, 132, 1_000])
def test_the_matrix_shows_each_mark_in_every_width(width: int) -> None:
    """In columns if they fit; otherwise after the number of its fault."""
    verdicts = list(Verdict)
    results = [
        CaseResult(
            *(name, site, "scenario", 1, verdicts[(number + shift) % len(verdicts)]),
            problems=[f"[b]why not {number}[/x]"],
        )
        for shift, site in enumerate((ROUTED, QUEUED, ADDRESSED))
        for number, name in enumerate(KINDS, 1)
    ]
    results += [CaseResult(name, CALLED, "scenario", 1, Verdict.HELD) for name in KINDS]
    console = Console(file=StringIO(), width=width, markup=False, emoji=False)
    report.show(console, results, unreached=[])
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    flat = " ".join(shown.split())

    assert max(len(line.rstrip()) for line in shown.splitlines()) <= width
    for number, kind in enumerate(KINDS.values(), 1):
        assert f" {number} {kind.name}: {kind.says}" in flat
    impossible = [each for each in results if each.verdict is Verdict.IMPOSSIBLE]
    assert impossible
    assert all(each.problems[0] in flat for each in impossible)
    matrix = flat.partition(f" 1 {next(iter(KINDS))}:")[0]
    marks = [report.MARKS[result.verdict][0] for result in results]
    assert Counter(char for char in matrix if char in marks) == Counter(marks)
    if width <= 100:
        pairs = re.findall(r"\b(\d+)([^\w\s])", matrix)
        numbers = {name: str(number) for number, name in enumerate(KINDS, 1)}
        assert Counter(pairs) == Counter(
            (numbers[result.fault], mark) for result, mark in zip(results, marks, strict=True)
        )
