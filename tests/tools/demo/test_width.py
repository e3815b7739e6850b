"""Printed text is complete in every width: long text is wrapped or split into lines."""

import io
from collections import Counter, defaultdict
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console, RenderableType

from cdk_rehearsal import Record
from tests.tools.demo.printed import WIDE, printed
from tests.tools.demo.test_audit import correct_evidence
from tools.demo.audit import Check, audit, side_text
from tools.demo.console import grid, show_table
from tools.demo.customers import ApiAnswer, Journal
from tools.demo.display import LiveDisplay, hop_table, status_counts, timeline_text
from tools.demo.hops import HOPS, HopCounts
from tools.demo.run import DemoRun
from tools.demo.timeline import OrderTimeline, Timelines

WIDTHS = (36, 40, 60, 79, 80, 100, 132)
FINDING = Check("Wrong", {"": Counter(EUR=1_234_567)}, {"due": 0}, ("one [bold]fault[/]",) * 3)
LETTER = {"body": '{"detail": "[bold]:warning:[/x]"} ' * 9, "attributes": {}}
PUBLISHED = {
    "detail-type": "NotificationRequested.v1",
    "detail": {"id": "1", "time": "2026-01-05T08:00:00Z", "data": {"order_id": "an-order"}},
}


def words(text: str) -> Counter[str]:
    return Counter(text.split())


def run() -> DemoRun:
    """A run with findings, parked messages, refusals, and an order with a long trace."""
    evidence = correct_evidence()
    evidence.dead_letters["Checkout/RunCheckout/DeadLetters"] = [LETTER]
    journal, timelines = Journal(), Timelines({"an-order": "[i]my"})
    journal.refused["refused"] = "price_changed"
    journal.repeated["idempotency_key_reused"] = 1_234
    answer = ApiAnswer(1.0, "a-customer", "POST", "an-order", 202, None)
    journal.answers.append(answer)
    timelines.on_answer(answer)
    records = [
        Record("published", 2.0, "Notifications/Customers/Relay", "Bus", {"event": PUBLISHED}),
        Record(
            *("delivery", 3.0, "Notifications/AddressCustomer/Rule"),
            *("Notifications/AddressCustomer/Queue", {"event": PUBLISHED, "outcome": "delivered"}),
        ),
    ]
    return DemoRun(
        evidence, [*audit(evidence), FINDING], journal, HopCounts(), timelines, 1.0, records
    )


def test_final_report_contains_every_text() -> None:
    text = printed(run())

    for check in run().checks:
        row = next(row for row in text.splitlines() if row[3:].startswith(f"{check.what}  "))
        assert words(row) >= words(f"{check.what} {side_text(check.left)}")
        assert f"  {side_text(check.right)}" in text
    assert text.count("✗ Wrong: one [bold]fault[/]") == 3
    assert words(text) >= words(str(LETTER["body"]))
    assert "Trace of order [i]my (an-order)" in text
    for said in ("price_changed", "1,234", "AddressCustomer queue", "NotificationRequested.v1"):
        assert said in text


@pytest.mark.parametrize("width", WIDTHS)
def test_final_report_is_complete_in_every_width(width: int) -> None:
    narrow, wide = printed(run(), width), printed(run())

    assert words(narrow) >= words(wide) - words("time from to result here must be equal to")
    tables = narrow.partition("✗ Wrong: one")[0]
    assert max(len(line.rstrip()) for line in tables.splitlines()) <= width


@pytest.mark.parametrize("width", WIDTHS)
def test_row_that_does_not_fit_is_printed_with_its_headers(width: int) -> None:
    table = grid("Title", "name", "first", "second")
    table.add_row("a-name-of-23-characters", "one two three four", "five")
    table.add_row("b", "", "six")
    file = io.StringIO()

    show_table(Console(file=file, width=width), table)

    lines = [line.rstrip() for line in file.getvalue().splitlines()]
    if width == 36:
        assert lines[:2] == ["Title", "a-name-of-23-characters"]
        assert lines[2:4] == ["  first: one two three four", "  second: five"]
        assert lines[4:] == ["b", "  second: six"]
    else:
        assert "first" in lines[1]
        assert lines[-1].split() == ["b", "six"]


def hop_counts() -> HopCounts:
    """A display whose hops have higher counts than any run of the sample."""
    counts = HopCounts()
    for hop in HOPS:
        for function in hop.functions:
            counts.invocations[function] = 123_456
            counts.errors[function]["PaymentUnavailable"] = 1_234
            counts.failed[function] = 5_678
        for method in hop.methods:
            counts.answers[method].update(dict.fromkeys((200, 202, 400, 401, 404), 1000))
    return counts


def shop() -> Any:
    return SimpleNamespace(
        functions=[SimpleNamespace(path=path, active=3) for hop in HOPS for path in hop.functions],
        queue_depths=lambda: defaultdict(lambda: 4_321),
        clock=SimpleNamespace(now=lambda: 1.0),
    )


def timelines() -> Timelines:
    all_timelines = Timelines({})
    for number in range(9):
        timeline = OrderTimeline(f"order-{number}", f"S-{number}", unusual=True)
        timeline.steps = [(step, f"step {number} {step}") for step in range(12)]
        all_timelines.ended.append(timeline)
        all_timelines.by_order[timeline.order_id] = timeline
    for status in ("delivered", "confirmed", "returned", "expired", "rejected", "refused"):
        all_timelines.statuses[status] = 12_345
    return all_timelines


def rendered(width: int, *parts: RenderableType) -> str:
    file = io.StringIO()
    console = Console(file=file, width=width)
    for part in parts:
        console.print(part)
    return file.getvalue()


@pytest.mark.parametrize("width", [LiveDisplay.WIDTH, 80, 100])
def test_live_display_is_complete_in_every_width(width: int) -> None:
    parts = (
        hop_table(shop(), hop_counts()),
        status_counts(timelines(), 99_999),
        timeline_text(timelines().ended[0]),
    )

    narrow = rendered(width, *parts)

    assert words(narrow) == words(rendered(WIDE, *parts))
    assert max(len(line.rstrip()) for line in narrow.splitlines()) <= width
    assert all(hop.name in narrow for hop in HOPS)
    assert narrow.count("123,456") == sum(len(hop.functions) == 1 for hop in HOPS)


@pytest.mark.parametrize("height", [LiveDisplay.HEIGHT, 30, 40, 60])
def test_cut_frame_shows_an_ellipsis_and_the_final_frame_is_complete(height: int) -> None:
    file = io.StringIO()
    console = Console(file=file, width=80, height=height, force_terminal=True, color_system=None)
    display = LiveDisplay(console)
    with display.watching(shop(), hop_counts(), timelines(), 99_999):
        display.phase("customers come")
        frame = console.render_lines(display._live.get_renderable(), pad=False)
        if len(frame) > height:
            assert "\n" + " " * 38 + "..." in file.getvalue()

    last = file.getvalue().rpartition("Orderflow")[2]
    assert words(last) >= words(
        rendered(80, hop_table(shop(), hop_counts()), status_counts(timelines(), 99_999))
    )
