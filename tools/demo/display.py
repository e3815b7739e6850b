"""The live display: what happens on each hop while the demo runs."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cdk_rehearsal import Rehearsal
from tools.demo.hops import HOPS, Hop, HopCounts
from tools.demo.timeline import OrderTimeline, Timelines

COLOURS = {
    "delivered": "green",
    "confirmed": "cyan",
    "returned": "bright_magenta",
    "expired": "bright_yellow",
    "rejected": "yellow",
    "cancelled": "magenta",
    "refused": "red",
}
"""The colour of each status of an order."""

_FRAME_S = 0.12
_SPARSE_S = 5.0
_EVERY = 12
"""The display shows one of so many usual orders."""

_monotonic = time.monotonic


class HasPhase(Protocol):
    """Something that shows the name of the phase."""

    phase: str


class Display:
    """Prints a line now and then: for pipes, logs and simple terminals."""

    pause_s = _SPARSE_S

    listener: HasPhase | None = None
    """What shows the phase, too."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._shown = _monotonic()
        self._phase = ""

    @contextmanager
    def working(self, what: str) -> Iterator[None]:
        """Shows the present task while it runs."""
        self.console.print(Text(f"{what} …"))
        yield

    @contextmanager
    def watching(
        self, shop: Rehearsal, counts: HopCounts, timelines: Timelines, orders: int
    ) -> Iterator[None]:
        """Shows the progress of so many orders at each `tick`."""
        self._shop, self._counts, self._timelines, self._orders = shop, counts, timelines, orders
        yield

    def phase(self, name: str) -> None:
        """Shows the name of a phase that begins."""
        self._phase = name
        if self.listener is not None:
            self.listener.phase = name
        self._show()

    def tick(self) -> None:
        """Shows the progress if it is time to. Call it often."""
        if _monotonic() - self._shown >= self.pause_s:
            self._show()

    def _show(self) -> None:
        self._shown = _monotonic()
        line = f"{_clock(self._shop)} {self._phase}"
        if self._timelines.by_order:
            line += f": {status_counts(self._timelines, self._orders).plain}"
        self.console.print(Text(line), soft_wrap=True)


class LiveDisplay(Display):
    """Updates a table of all hops, a progress bar and the timelines of orders in place.

    A frame that is higher than the terminal ends with an ellipsis. The final frame is complete.
    """

    WIDTH, HEIGHT = 60, 24
    """The size of the smallest terminal that can show a frame."""
    pause_s = _FRAME_S

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._live = Live(
            console=console,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="ellipsis",
        )

    @contextmanager
    def working(self, what: str) -> Iterator[None]:
        """See `Display`."""
        with self.console.status(Text(f"{what} …"), spinner="line"):
            yield

    @contextmanager
    def watching(
        self, shop: Rehearsal, counts: HopCounts, timelines: Timelines, orders: int
    ) -> Iterator[None]:
        """See `Display`."""
        with self._live, super().watching(shop, counts, timelines, orders):
            yield
            self._show()

    def _show(self) -> None:
        self._shown = _monotonic()
        width, height = self.console.size
        frame: list[RenderableType] = [
            _title(self._shop, self._phase, width),
            status_counts(self._timelines, self._orders),
            hop_table(self._shop, self._counts),
        ]
        room = height - self._lines(*frame)
        if room > 0:
            frame.insert(1, _bar(self._timelines, self._orders, width))
        frame += self._tail(room - 2)
        self._live.update(Group(*frame), refresh=True)

    def _tail(self, room: int) -> list[Text]:
        """Returns the timelines of the latest ended orders, as many as fit into `room` lines."""
        timelines: list[Text] = []
        for timeline in _worth_showing(self._timelines):
            timelines.insert(0, timeline_text(timeline))
            if self._lines(*timelines) > room:
                return timelines[1:]
        return timelines

    def _lines(self, *parts: RenderableType) -> int:
        return len(self.console.render_lines(Group(*parts), pad=False))


def hop_table(shop: Rehearsal, counts: HopCounts) -> Table:
    """Returns a table with the calls of each hop, active and queued ones, and their results."""
    table = Table(box=None, header_style="dim", padding=(0, 1, 0, 0), pad_edge=False, expand=True)
    table.add_column("", style="cyan", no_wrap=True)
    table.add_column("hop", no_wrap=True)
    for title in ("calls", "now", "queue"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("result", ratio=1, overflow="fold")
    active = {function.path: function.active for function in shop.functions}
    depths = shop.queue_depths()
    for hop in HOPS:
        calls = counts.calls(hop)
        table.add_row(
            hop.kind,
            hop.name,
            _count(calls),
            _count(sum(active.get(function, 0) for function in hop.functions)),
            _count(sum(depths[queue] for queue in hop.queues)) if hop.queues else "",
            _result(counts, hop, sum(depths[queue] for queue in hop.dead_letter_queues)),
            style="" if calls else "dim",
        )
    return table


def status_counts(timelines: Timelines, orders: int) -> Text:
    """Returns the number of orders in each status."""
    text = Text(f"{len(timelines.by_order):,} of {orders:,}: ")
    for status, colour in COLOURS.items():
        if timelines.statuses[status]:
            text.append(f"{timelines.statuses[status]:,} {status}", colour).append(", ")
    return text.append(f"{timelines.statuses['placed']:,} in progress")


def timeline_text(timeline: OrderTimeline) -> Text:
    """Returns an order's name and timeline in the colour of its status."""
    return (
        Text()
        .append(f"{timeline.name} ", "bold")
        .append(timeline.text(), COLOURS.get(timeline.status or "", ""))
    )


def _result(counts: HopCounts, hop: Hop, parked: int) -> Text:
    if not counts.calls(hop):
        return Text()
    text = Text(counts.successes(hop))
    for failure in counts.failures(hop):
        text.append(", ").append(failure, "yellow")
    if parked:
        text.append(", ").append(f"{parked:,} parked", "bold red")
    return text


def _title(shop: Rehearsal, phase: str, width: int) -> Text:
    text = Text("Orderflow", "bold").append(f"  {phase}", "not bold")
    clock = f"{_clock(shop)} virtual time"
    return text.append(clock.rjust(width - len(text)), "dim")


def _clock(shop: Rehearsal) -> str:
    return datetime.fromtimestamp(shop.clock.now(), UTC).strftime("%H:%M:%S")


def _bar(timelines: Timelines, orders: int, width: int) -> Text:
    """Returns a bar of all orders, with the share of each status in its colour."""
    bar = Text(no_wrap=True, overflow="crop")
    done = drawn = 0
    for status, colour in {**COLOURS, "placed": "blue"}.items():
        done += timelines.statuses[status]
        cells = done * width // max(orders, 1) - drawn
        bar.append("━" * cells, colour)
        drawn += cells
    return bar.append("━" * (width - drawn), "bright_black")


def _worth_showing(timelines: Timelines) -> Iterator[OrderTimeline]:
    """Yields timelines of ended orders, latest first: unusual ones and a sample of the rest."""
    for number in range(len(timelines.ended) - 1, -1, -1):
        timeline = timelines.ended[number]
        if timeline.unusual or number % _EVERY == 0:
            yield timeline


def _count(number: int) -> Text:
    return Text(f"{number:,}") if number else Text("·", "dim")
