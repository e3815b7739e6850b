"""The live account: what happens on each hop, while it happens."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cdk_rehearsal import Rehearsal
from tools.demo.story import Stories, Story
from tools.demo.tally import HOPS, Hop, Tally

COLOURS = {
    "delivered": "green",
    "confirmed": "cyan",
    "returned": "bright_magenta",
    "expired": "bright_yellow",
    "rejected": "yellow",
    "cancelled": "magenta",
    "refused": "red",
}
"""The colour of each end that an order may come to."""

_FRAME_S = 0.12
_SPARSE_S = 5.0
_EVERY = 12
"""Of the orders that go the usual way, one in so many has its story told."""

_monotonic = time.monotonic


class Display:
    """Prints a line now and then: for pipes, logs and terminals that cannot do more."""

    pause_s = _SPARSE_S

    def __init__(self, console: Console) -> None:
        self.console = console
        self._shown = _monotonic()
        self._phase = ""

    @contextmanager
    def working(self, what: str) -> Iterator[None]:
        """Says what is being done, as long as it takes."""
        self.console.print(Text(f"{what} …"))
        yield

    @contextmanager
    def watching(
        self, shop: Rehearsal, tally: Tally, stories: Stories, orders: int
    ) -> Iterator[None]:
        """Shows the way of so many orders, whenever `tick` is called."""
        self._shop, self._tally, self._stories, self._orders = shop, tally, stories, orders
        yield

    def phase(self, name: str) -> None:
        """Says what begins now."""
        self._phase = name
        self._show()

    def tick(self) -> None:
        """Shows what is new, if it is time to; to be called often."""
        if _monotonic() - self._shown >= self.pause_s:
            self._show()

    def _show(self) -> None:
        self._shown = _monotonic()
        line = f"{_clock(self._shop)} {self._phase}"
        if self._stories.by_order:
            line += f": {outcome(self._stories, self._orders).plain}"
        self.console.print(Text(line), soft_wrap=True)


class LiveDisplay(Display):
    """Updates a table of all hops, a progress bar and the stories of orders in place.

    A frame that is higher than the terminal ends with an ellipsis. The final frame is complete.
    """

    WIDTH, HEIGHT = 60, 24
    """The smallest terminal in which a frame can be read."""
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
        self, shop: Rehearsal, tally: Tally, stories: Stories, orders: int
    ) -> Iterator[None]:
        """See `Display`."""
        with self._live, super().watching(shop, tally, stories, orders):
            yield
            self._show()

    def _show(self) -> None:
        self._shown = _monotonic()
        width, height = self.console.size
        frame: list[RenderableType] = [
            _title(self._shop, self._phase, width),
            outcome(self._stories, self._orders),
            table_of(self._shop, self._tally),
        ]
        room = height - self._lines(*frame)
        if room > 0:
            frame.insert(1, _bar(self._stories, self._orders, width))
        frame += self._tail(room - 2)
        self._live.update(Group(*frame), refresh=True)

    def _tail(self, room: int) -> list[Text]:
        """Return the latest stories of ended orders, as many as fit into `room` lines."""
        stories: list[Text] = []
        for story in _worth_telling(self._stories):
            stories.insert(0, told(story))
            if self._lines(*stories) > room:
                return stories[1:]
        return stories

    def _lines(self, *parts: RenderableType) -> int:
        return len(self.console.render_lines(Group(*parts), pad=False))


def table_of(shop: Rehearsal, tally: Tally) -> Table:
    """Return a table with the calls of each hop, active and queued ones, and their results."""
    table = Table(box=None, header_style="dim", padding=(0, 1, 0, 0), pad_edge=False, expand=True)
    table.add_column("", style="cyan", no_wrap=True)
    table.add_column("hop", no_wrap=True)
    for title in ("calls", "now", "queue"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("result", ratio=1, overflow="fold")
    active = {function.path: function.active for function in shop.functions}
    depths = shop.queue_depths()
    for hop in HOPS:
        calls = tally.calls(hop)
        table.add_row(
            hop.kind,
            hop.name,
            _count(calls),
            _count(sum(active.get(function, 0) for function in hop.functions)),
            _count(sum(depths[queue] for queue in hop.queues)) if hop.queues else "",
            _result(tally, hop, sum(depths[queue] for queue in hop.parkings)),
            style="" if calls else "dim",
        )
    return table


def outcome(stories: Stories, orders: int) -> Text:
    """How many orders have come to which end."""
    text = Text(f"{len(stories.by_order):,} of {orders:,}: ")
    for status, colour in COLOURS.items():
        if stories.statuses[status]:
            text.append(f"{stories.statuses[status]:,} {status}", colour).append(", ")
    return text.append(f"{stories.statuses['placed']:,} under way")


def told(story: Story) -> Text:
    """Return an order's name and story, in the colour of its status."""
    return (
        Text()
        .append(f"{story.name} ", "bold")
        .append(story.text(), COLOURS.get(story.status or "", ""))
    )


def _result(tally: Tally, hop: Hop, parked: int) -> Text:
    if not tally.calls(hop):
        return Text()
    text = Text(tally.good(hop))
    for bad in tally.bad(hop):
        text.append(", ").append(bad, "yellow")
    if parked:
        text.append(", ").append(f"{parked:,} parked", "bold red")
    return text


def _title(shop: Rehearsal, phase: str, width: int) -> Text:
    text = Text("Orderflow", "bold").append(f"  {phase}", "not bold")
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


def _worth_telling(stories: Stories) -> Iterator[Story]:
    """Yield the stories of ended orders, latest first: unusual ones, and a sample of the others."""
    for number in range(len(stories.turns) - 1, -1, -1):
        story = stories.turns[number]
        if story.unusual or number % _EVERY == 0:
            yield story


def _count(number: int) -> Text:
    return Text(f"{number:,}") if number else Text("·", "dim")
