"""What a rehearsal of many orders costs: `python -m tools.bench.rehearsal --orders 1000`."""

import argparse
import json
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from cdk_rehearsal import Rehearsal, RehearsalError
from stacks.constructs.packaging import PackagingError
from stacks.synthesis import SynthesisError, host_assembly
from tools.bench.profile import Profile
from tools.demo import scenario
from tools.demo.display import Display
from tools.demo.orders_file import Order, read_orders
from tools.demo.run import Run, World, rehearse
from tools.demo.sample import load
from tools.demo.stock_file import plenty_for
from tools.demo.story import Stories
from tools.demo.supplier import files_of
from tools.demo.tally import Tally

_SHOWN = 15


@dataclass
class Stage:
    """What a part of the run took, in seconds."""

    name: str
    wall_s: float
    cpu_s: float


@dataclass
class Stages:
    """The parts of a run, each from the end of the one before."""

    taken: list[Stage] = field(default_factory=list)
    _since: tuple[float, float] = (0.0, 0.0)

    def start(self) -> None:
        """Begin to measure."""
        self._since = (_monotonic(), _process_time())

    def end(self, name: str) -> None:
        """End a part."""
        wall, cpu = self._since
        self.start()
        self.taken.append(Stage(name, self._since[0] - wall, self._since[1] - cpu))


_monotonic, _process_time = time.monotonic, time.process_time


class StagedDisplay(Display):
    """Says as little as a pipe's display, and notes when the shop closes."""

    def __init__(self, console: Console, stages: Stages) -> None:
        super().__init__(console)
        self._stages = stages

    @contextmanager
    def watching(
        self, shop: Rehearsal, tally: Tally, stories: Stories, orders: int
    ) -> Iterator[None]:
        """See `Display`."""
        self._stages.end("create the resources")
        with super().watching(shop, tally, stories, orders):
            yield
        self._stages.end("rehearse the orders")


@dataclass(frozen=True)
class Measured:
    """A run, and what it cost."""

    run: Run
    stages: Sequence[Stage]
    profile: Profile
    peak_bytes: int

    def report(self, orders: int) -> dict[str, Any]:
        """All figures."""
        cpu = sum(stage.cpu_s for stage in self.stages)
        return {
            "orders": orders,
            "balanced": self.run.balanced,
            "records": len(self.run.records),
            "wall_s": round(sum(stage.wall_s for stage in self.stages), 3),
            "cpu_s": round(cpu, 3),
            "cpu_ms_per_order": round(cpu * 1000 / orders, 3),
            "peak_mib": round(self.peak_bytes / 2**20, 1),
            "stages": {stage.name: round(stage.cpu_s, 3) for stage in self.stages},
            "profile": dict(self.profile.parts.most_common()),
        }


def measure(assembly: Path, orders: Sequence[Order], *, seed: int, console: Console) -> Measured:
    """Rehearse the orders with nothing going wrong, in virtual time, and audit the books."""
    items = plenty_for(orders)
    world = World(
        files=[*files_of(items)],
        right={item.sku: item.quantity for item in items},
        visits=scenario.plain(orders),
    )
    stages, profile = Stages(), Profile()
    stages.start()
    with profile.taken():
        run = rehearse(
            assembly,
            world,
            seed=seed,
            display=StagedDisplay(console, stages),
            hurried=True,
            conclude=lambda _, __: stages.end("audit the books"),
        )
    # In KiB on Linux, in bytes on macOS: getrusage(2) of each.
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return Measured(run, stages.taken, profile, peak)


def tables(measured: Measured, orders: int) -> Iterator[Table]:
    """The figures for people."""
    shown = Table(box=SIMPLE_HEAD, title=f"Rehearsal of {orders:,} orders", pad_edge=False)
    shown.add_column("", no_wrap=True)
    for heading in ("wall s", "CPU s", "CPU ms an order"):
        shown.add_column(heading, justify="right", no_wrap=True)
    total = Stage("all", 0.0, 0.0)
    for stage in (*measured.stages, total):
        shown.add_row(
            stage.name,
            f"{stage.wall_s:.1f}",
            f"{stage.cpu_s:.1f}",
            f"{stage.cpu_s * 1e3 / orders:.1f}",
            style="bold" if stage is total else "",
        )
        total.wall_s += stage.wall_s
        total.cpu_s += stage.cpu_s
    yield shown
    profile = measured.profile
    for title, found in (("package", profile.parts), ("function", profile.functions)):
        slowest = Table(box=SIMPLE_HEAD, pad_edge=False)
        slowest.add_column("share of CPU", justify="right", no_wrap=True)
        slowest.add_column(f"{title}, the slowest first", no_wrap=True)
        for name, count in found.most_common(_SHOWN):
            slowest.add_row(f"{count / profile.samples:.1%}", name)
        yield slowest


def main() -> None:
    """Measure what a rehearsal of many small orders costs, with nothing going wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.bench.rehearsal", description=main.__doc__
    )
    parser.add_argument("--orders", type=_count, default=1_000, help="how many (1000)")
    parser.add_argument("--lines", type=_count, default=3, help="most lines of an order (3)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same run (1)")
    parser.add_argument("--stage", default="prod", help="the stage that is rehearsed (prod)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there too")
    options = parser.parse_args()
    console = Console()
    try:
        with TemporaryDirectory(prefix="orderflow-") as scratch:
            file = Path(scratch, "orders.csv")
            with file.open("w") as text:
                load.write(text, options.orders, options.lines)
            orders = read_orders(file).orders
        assembly = host_assembly(options.stage)
        measured = measure(assembly, orders, seed=options.seed, console=console)
    except (PackagingError, RehearsalError, SynthesisError) as error:
        sys.exit(f"error: {error}")
    for table in tables(measured, options.orders):
        console.print(table)
    figures = measured.report(options.orders)
    console.print(
        f"{figures['cpu_ms_per_order']:.1f} ms of CPU an order, {figures['peak_mib']:,.0f} MiB at "
        f"most, {figures['records']:,} records; the books "
        f"{'balance' if measured.run.balanced else '[red]do not balance[/red]'}"
    )
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    sys.exit(0 if measured.run.balanced else 1)


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("has to be 1 or more")
    return number


if __name__ == "__main__":
    main()
