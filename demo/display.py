"""The live account: what happens on each hop, while it happens."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from demo.story import Stories, Story
from demo.tally import HOPS, Tally, in_flight
from rehearsal import Rehearsal

COLOURS = {
    "confirmed": "green",
    "rejected": "yellow",
    "cancelled": "magenta",
    "refused": "red",
}
"""The colour of each end that an order may come to."""

_FRAME_S = 0.12
_SPARSE_S = 5.0
_TOLD = 200
_EVERY = 12
"""Of the orders that go the usual way, one in so many has its story told."""

_monotonic = time.monotonic


class Display:
    """Prints a line now and then: for pipes, logs and terminals that cannot do more."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._shown = _monotonic()

    def say(self, text: str) -> None:
        """Prints a line that stays."""
        self.console.print(text, highlight=False)

    def watch(self, shop: Rehearsal, tally: Tally, stories: Stories, orders: int) -> None:
        """Begins to show the way of so many orders."""
        self._shop, self._tally, self._stories, self._orders = shop, tally, stories, orders

    def tick(self) -> None:
        """Shows what is new, if it is time to; to be called often."""
        if _monotonic() - self._shown >= self._pause_s:
            self._show()
            self._shown = _monotonic()

    def stop(self) -> None:
        """Shows the last state."""
        self._show()

    _pause_s = _SPARSE_S

    def _show(self) -> None:
        self.say(f"  {_clock(self._shop)}  {outcome(self._stories, self._orders).plain}")


class LiveDisplay(Display):
    """Shows a table of all hops, a bar, and stories of orders, in place."""

    _pause_s = _FRAME_S

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._live = Live(
            console=console,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="crop",
        )

    def watch(self, shop: Rehearsal, tally: Tally, stories: Stories, orders: int) -> None:
        """See `Display`."""
        super().watch(shop, tally, stories, orders)
        self._live.start()

    def stop(self) -> None:
        """See `Display`."""
        if self._live.is_started:
            self._show()
            self._live.stop()

    def _show(self) -> None:
        width, height = self.console.size
        table = hops(self._shop, self._tally)
        top = [
            _title(self._shop, width),
            _bar(self._stories, self._orders, width),
            outcome(self._stories, self._orders),
        ]
        room = height - len(top) - table.row_count - 3
        stories = _tail(self._stories, room)
        self._live.update(Group(*top, table, *stories), refresh=True)


def hops(shop: Rehearsal, tally: Tally) -> Table:
    """What went over each hop: calls, how many are under way or wait, and what came of them."""
    table = Table(box=None, header_style="dim", pad_edge=False, expand=True, show_edge=False)
    table.add_column("")
    table.add_column("hop", no_wrap=True)
    for title in ("calls", "now", "wait", "dead"):
        table.add_column(title, justify="right")
    table.add_column("what came of it", ratio=1, no_wrap=True)
    active = in_flight(shop)
    depths = shop.queue_depths()
    kind = None
    for hop in HOPS:
        calls = tally.invocations[hop.function]
        busy = active.get(hop.function, 0)
        waiting = depths.get(hop.queue or "", 0)
        dead = depths.get(hop.parking or "", 0)
        table.add_row(
            Text(hop.kind if hop.kind != kind else "", "cyan"),
            hop.name,
            _count(calls),
            _count(busy, "bold"),
            _count(waiting, "bold"),
            _count(dead, "bold red"),
            tally.result(hop) if calls else "",
            style="" if calls or waiting else "dim",
        )
        kind = hop.kind
    return table


def outcome(stories: Stories, orders: int) -> Text:
    """How many orders have come to which end."""
    text = Text(f"{len(stories.by_order):,} of {orders:,} orders: ", no_wrap=True, overflow="crop")
    for status, colour in COLOURS.items():
        text.append(f"{stories.statuses[status]:,} {status}", colour).append(", ")
    return text.append(f"{stories.statuses['placed']:,} under way")


def told(story: Story) -> Text:
    """The story of an order on one line."""
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(f"{story.name} ", "bold").append(story.text(), COLOURS.get(story.status, ""))
    return line.append(f" {story.seconds:.1f} s", "dim") if story.seconds else line


def _title(shop: Rehearsal, width: int) -> Text:
    text = Text("Orderflow", "bold", no_wrap=True, overflow="crop")
    clock = f"{_clock(shop)} virtual time"
    return text.append(clock.rjust(width - len(text)), "dim")


def _clock(shop: Rehearsal) -> str:
    return datetime.fromtimestamp(shop.clock.now(), UTC).strftime("%H:%M:%S")


def _bar(stories: Stories, orders: int, width: int) -> Text:
    """All orders as a line: each stretch as long as its share of them."""
    bar = Text(no_wrap=True, overflow="crop")
    done = drawn = 0
    for status, colour in {**COLOURS, "placed": "blue"}.items():
        done += stories.statuses[status]
        cells = done * width // max(orders, 1) - drawn
        bar.append("━" * cells, colour)
        drawn += cells
    return bar.append("━" * (width - drawn), "bright_black")


def _tail(stories: Stories, room: int) -> list[RenderableType]:
    """The stories of the last orders that ended, as many as there is room for."""

    def worth_telling() -> Iterator[Story]:
        for number in range(len(stories.turns) - 1, -1, -1):
            story = stories.turns[number]
            if story.unusual or number % _EVERY == 0:
                yield story

    latest = list(islice(worth_telling(), max(0, room)))
    return [told(story) for story in reversed(latest)]


def _count(number: int, style: str = "") -> Text:
    return Text(f"{number:,}" if number else "·", style if number else "dim")
