"""The cost of a rehearsal of many orders: `python -m tools.bench.rehearsal --orders 1000`."""

import argparse
import json
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
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
from tools.demo.display import Display
from tools.demo.hops import HopCounts
from tools.demo.orders_file import CustomerOrder, read_orders
from tools.demo.run import DemoRun, DemoSetup, rehearse
from tools.demo.sample import load
from tools.demo.stock_file import plenty_for
from tools.demo.supplier import files_of
from tools.demo.timeline import Timelines
from tools.demo.visits import plain_visits

_SHOWN = 15


@dataclass
class Phase:
    """A phase of the run, and its time in seconds."""

    name: str
    wall_s: float
    cpu_s: float


_monotonic, _process_time = time.monotonic, time.process_time


class PhaseDisplay(Display):
    """A display that measures the phases. Each starts at the end of the one before."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self.phases: list[Phase] = []
        self.opened_bytes = 0
        """The peak of the memory when the application was ready."""
        self._wall, self._cpu = _monotonic(), _process_time()

    def end(self, name: str) -> None:
        """Ends a phase."""
        wall, cpu = _monotonic(), _process_time()
        self.phases.append(Phase(name, wall - self._wall, cpu - self._cpu))
        self._wall, self._cpu = wall, cpu

    @contextmanager
    def watching(
        self, shop: Rehearsal, counts: HopCounts, timelines: Timelines, orders: int
    ) -> Iterator[None]:
        """See `Display`."""
        self.end("create the resources")
        self.opened_bytes = _peak_bytes()
        with super().watching(shop, counts, timelines, orders):
            yield
        self.end("rehearse the orders")


@dataclass(frozen=True)
class MeasuredRun:
    """A run and its cost."""

    run: DemoRun
    phases: Sequence[Phase]
    profile: Profile
    opened_bytes: int
    """The peak of the memory when the application was ready."""
    peak_bytes: int

    def report(self, orders: int) -> dict[str, Any]:
        """Returns all figures."""
        cpu = sum(phase.cpu_s for phase in self.phases)
        return {
            "orders": orders,
            "balanced": self.run.passes,
            "records": len(self.run.records),
            "calls": sum(record.kind == "call" for record in self.run.records),
            "wall_s": round(sum(phase.wall_s for phase in self.phases), 3),
            "cpu_s": round(cpu, 3),
            "cpu_ms_per_order": round(cpu * 1000 / orders, 3),
            "kib_per_order": round((self.peak_bytes - self.opened_bytes) / 1024 / orders, 1),
            "peak_mib": round(self.peak_bytes / 2**20, 1),
            "stages": {phase.name: round(phase.cpu_s, 3) for phase in self.phases},
            "profile": dict(self.profile.parts.most_common()),
        }


def measure(
    assembly: Path, orders: Sequence[CustomerOrder], *, seed: int, console: Console
) -> MeasuredRun:
    """Rehearses and audits orders without faults, in virtual time."""
    items = plenty_for(orders)
    setup = DemoSetup(
        files=[*files_of(items)],
        catalogue=items,
        right={item.sku: item.quantity for item in items},
        visits=plain_visits(orders),
    )
    profile, display = Profile(), PhaseDisplay(console)
    with profile.taken():
        run = rehearse(
            assembly,
            setup,
            seed=seed,
            display=display,
            hurried=True,
            conclude=lambda _, __: display.end("audit"),
        )
    return MeasuredRun(run, display.phases, profile, display.opened_bytes, _peak_bytes())


def _peak_bytes() -> int:
    # KiB on Linux, bytes on macOS: see getrusage(2).
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def tables(measured: MeasuredRun, orders: int) -> Iterator[Table]:
    """Yields the figures as tables."""
    shown = Table(box=SIMPLE_HEAD, title=f"Rehearsal of {orders:,} orders", pad_edge=False)
    shown.add_column("", no_wrap=True)
    for heading in ("wall s", "CPU s", "CPU ms per order"):
        shown.add_column(heading, justify="right", no_wrap=True)
    total = Phase("all", 0.0, 0.0)
    for phase in (*measured.phases, total):
        shown.add_row(
            phase.name,
            f"{phase.wall_s:.1f}",
            f"{phase.cpu_s:.1f}",
            f"{phase.cpu_s * 1e3 / orders:.1f}",
            style="bold" if phase is total else "",
        )
        total.wall_s += phase.wall_s
        total.cpu_s += phase.cpu_s
    yield shown
    profile = measured.profile
    for title, found in (("package", profile.parts), ("function", profile.functions)):
        slowest = Table(box=SIMPLE_HEAD, pad_edge=False)
        slowest.add_column("share of CPU", justify="right", no_wrap=True)
        slowest.add_column(f"{title}, slowest first", no_wrap=True)
        for name, count in found.most_common(_SHOWN):
            slowest.add_row(f"{count / profile.samples:.1%}", name)
        yield slowest


def main() -> None:
    """Measures the cost of a rehearsal of many small orders without faults."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.bench.rehearsal", description=main.__doc__
    )
    parser.add_argument("--orders", type=_count, default=1_000, help="how many (1000)")
    parser.add_argument("--lines", type=_count, default=3, help="the most lines of an order (3)")
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
            orders = read_orders(file).items
        assembly = host_assembly(options.stage)
        measured = measure(assembly, orders, seed=options.seed, console=console)
    except (PackagingError, RehearsalError, SynthesisError) as error:
        sys.exit(f"error: {error}")
    for table in tables(measured, options.orders):
        console.print(table)
    figures = measured.report(options.orders)
    console.print(
        f"{figures['cpu_ms_per_order']:.1f} ms of CPU per order, {figures['peak_mib']:,.0f} MiB at "
        f"most, {figures['records']:,} records; the audit "
        f"{'passes' if measured.run.passes else '[red]fails[/red]'}"
    )
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    sys.exit(0 if measured.run.passes else 1)


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("use a number of at least 1")
    return number


if __name__ == "__main__":
    main()
