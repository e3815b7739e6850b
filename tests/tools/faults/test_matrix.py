"""The matrix: what holds is said to hold, what is lost or doubled is found."""

import re
from collections import Counter
from io import StringIO

import pytest
from rich.console import Console

from cdk_rehearsal import Fault
from tools.faults import report
from tools.faults.catalogue import CATALOGUE, Trouble
from tools.faults.cell import Result, Verdict
from tools.faults.matrix import Cell, Usual, plan, run_cells
from tools.faults.places import EDGES, Place
from tools.faults.shop import Shop
from tools.faults.trouble import planning

RULE = Place("rule", "Checkout/RunCheckout/Rule", "Checkout/RunCheckout/Queue")
QUEUE = Place("queue", "Checkout/RunCheckout/Queue", "Checkout/RunCheckout/Function")
RELAY = Place("call", "Orders/Orders/Relay", "Backbone/Bus", "events.PutEvents")
ADDRESSING = Place(
    "rule", "Notifications/AddressCustomer/Rule", "Notifications/AddressCustomer/Queue"
)


def _run(shop: Shop, tale: Usual, trouble: Trouble, place: Place) -> Result:
    (result,) = run_cells(shop, [Cell(trouble, place, tale)], seed=1, at_once=1)
    return result


@pytest.mark.parametrize(
    ("name", "place", "verdict"),
    [
        ("duplicate", RULE, Verdict.HELD),
        ("partial", RELAY, Verdict.HELD),
        ("raises-on", QUEUE, Verdict.MENDED),
    ],
    ids=str,
)
def test_trouble_loses_and_doubles_nothing(
    open_shop: Shop, tale: Usual, name: str, place: Place, verdict: Verdict
) -> None:
    result = _run(open_shop, tale, CATALOGUE[name], place)
    assert (result.verdict, result.problems) == (verdict, [])
    assert bool(result.parked) == (verdict is Verdict.MENDED)


def test_an_event_that_vanishes_on_its_way_is_found(open_shop: Shop, tale: Usual) -> None:
    vanishes = Fault("vanishes", "nothing arrives", "way", lambda random: ())
    trouble = Trouble("vanishes", "nothing arrives", ("rule",), planning(vanishes), planned=True)
    result = _run(open_shop, tale, trouble, ADDRESSING)
    assert result.verdict is Verdict.VIOLATED
    assert any("are owed" in problem for problem in result.problems), result.problems
    assert any("name=vanishes" in line for line in result.trace), result.trace


@pytest.mark.parametrize(
    ("place", "verdict"), [(ADDRESSING, Verdict.NOTICED), (RULE, Verdict.VIOLATED)], ids=str
)
def test_a_story_proves_nothing_of_an_edge_that_it_does_not_need(
    open_shop: Shop, tale: Usual, place: Place, verdict: Verdict
) -> None:
    # An order that checkout never hears of is cancelled all the same.
    assert _run(open_shop, tale, CATALOGUE["lost"], place).verdict is verdict


def test_trouble_that_never_comes_proves_nothing(open_shop: Shop, tale: Usual) -> None:
    # Nobody asks for an order's deadline in this story, so nothing is delivered there.
    elsewhere = Place("queue", "Shipping/WatchDeadline/Queue", "Shipping/WatchDeadline/Function")
    assert elsewhere not in tale.places
    result = _run(open_shop, tale, CATALOGUE["raises"], elsewhere)
    assert result.verdict is Verdict.UNTOUCHED


def test_each_place_has_its_trouble_or_a_reason_why_not(open_shop: Shop, tale: Usual) -> None:
    todo = plan(open_shop, [tale], lambda trouble, place: True)
    places = {cell.place for cell in todo.cells}
    told = {(each.place, each.trouble) for each in todo.impossible}
    told |= {(cell.place, cell.trouble.name) for cell in todo.cells}
    assert told == {(place, name) for place in places for name in CATALOGUE}
    assert all(result.problems[0] for result in todo.impossible)
    assert len({cell.trouble.name for cell in todo.cells if cell.place.kind in EDGES}) >= 15
    assert todo.unreached  # one story alone does not reach every edge, and the plan says so


def test_the_report_shows_each_cell_and_how_to_see_it_again() -> None:
    results = [
        Result("duplicate", RULE, "cancelled", 7, Verdict.HELD),
        Result("partial", RELAY, "cancelled", 7, Verdict.VIOLATED, problems=["lost <it>"]),
        Result("raises", RULE, "", 0, Verdict.IMPOSSIBLE, problems=["no handler runs here"]),
    ]
    console = Console(file=StringIO(), width=200)
    report.show(console, results, unreached=[QUEUE])
    report.show_violation(console, results[1])
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "1 held" in shown
    assert "1 violated" in shown
    assert "· no handler runs here" in shown
    assert f"no story passes {QUEUE}" in shown
    assert f"--fault partial --edge '{RELAY}' --seed 7" in shown
    page = report.page(results)
    assert "1 held" in page
    assert "1 violated" in page
    assert 'class="violated" title="violated\nlost &lt;it&gt;"' in page


@pytest.mark.parametrize("width", [24, 40, 60, 80, 100, 132, 1_000])
def test_matrix_shows_each_mark_in_every_width(width: int) -> None:
    """In columns if they fit; otherwise after the number of its fault."""
    verdicts = list(Verdict)
    results = [
        Result(
            *(name, place, "story", 1, verdicts[(number + shift) % len(verdicts)]),
            problems=[f"[b]why not {number}[/x]"],
        )
        for shift, place in enumerate((RULE, QUEUE, ADDRESSING))
        for number, name in enumerate(CATALOGUE, 1)
    ]
    results += [Result(name, RELAY, "story", 1, Verdict.HELD) for name in CATALOGUE]
    console = Console(file=StringIO(), width=width, markup=False, emoji=False)
    report.show(console, results, unreached=[])
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    flat = " ".join(shown.split())

    assert max(len(line.rstrip()) for line in shown.splitlines()) <= width
    for number, trouble in enumerate(CATALOGUE.values(), 1):
        assert f" {number} {trouble.name}: {trouble.says}" in flat
    impossible = [each for each in results if each.verdict is Verdict.IMPOSSIBLE]
    assert all(each.problems[0] in flat for each in impossible)
    matrix = flat.partition(" 1 duplicate:")[0]
    marks = [report.MARKS[result.verdict][0] for result in results]
    assert Counter(char for char in matrix if char in marks) == Counter(marks)
    if width <= 100:
        pairs = re.findall(r"\b(\d+)([^\w\s])", matrix)
        numbers = {name: str(number) for number, name in enumerate(CATALOGUE, 1)}
        assert Counter(pairs) == Counter(
            (numbers[result.trouble], mark) for result, mark in zip(results, marks, strict=True)
        )
