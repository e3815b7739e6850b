"""make bench: CPU time and memory of an order, imports, cold starts, collection of tests."""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console

from cdk_rehearsal import RehearsalError
from stacks.constructs.packaging import PackagingError
from stacks.synthesis import SynthesisError, host_assembly
from tools.bench import cold_starts, counts
from tools.bench.figures import (
    Figure,
    Figures,
    UnusableFigures,
    interpreter,
    machine,
    markdown,
    read,
    table,
    to_json,
)
from workspace.isolation import PROJECT

_COLLECTED = "tests collected"


class _MeasurementFailed(Exception):
    """A command that is measured has failed."""


def of_rehearsal(orders: int) -> tuple[dict[str, Figure], dict[str, float]]:
    """Rehearses orders in a process of their own.

    Returns the figures, and the shares of the CPU time by package. Raises _MeasurementFailed.
    """
    with TemporaryDirectory(prefix="orderflow-") as scratch:
        file = Path(scratch, "rehearsal.json")
        _output("tools.bench.rehearsal", "--orders", str(orders), "--json", str(file))
        found: dict[str, Any] = json.loads(file.read_text())
    label = f"rehearsal of {orders:,} orders"
    samples = sum(found["profile"].values())
    return {
        f"{label}: CPU per order": Figure(found["cpu_ms_per_order"], "ms"),
        f"{label}: memory per order": Figure(found["kib_per_order"], "KiB"),
        f"{label}: records per order": Figure(found["records"] / orders, "", "counted"),
        f"{label}: calls per order": Figure(found["calls"] / orders, "", "counted"),
    }, {name: round(count / samples, 4) for name, count in found["profile"].items()}


def of_counts() -> dict[str, Figure]:
    """Counts what no machine changes: see `counts`."""
    found = counts.counted(host_assembly(counts.STAGE))
    shown = {"call records": "calls", "records": "records", "write units": "write units"}
    figures = {
        f"{kind} order: {label}": Figure(numbers[name], "", "counted")
        for kind, numbers in found["orders"].items()
        for name, label in shown.items()
    }
    modules = found["modules"]["outside"].values()
    figures["import of a handler: modules outside of Python, at most"] = Figure(
        max(modules), "", "counted"
    )
    return figures


def of_collection() -> dict[str, Figure]:
    """Measures how long pytest takes to collect all tests. Raises _MeasurementFailed."""
    started = time.monotonic()
    output = _output("pytest", "--collect-only", "--quiet", "-p", "no:cacheprovider")
    seconds = time.monotonic() - started
    (collected,) = [line for line in output.splitlines() if _COLLECTED in line] or [""]
    number = int(collected.split()[0].replace(",", "")) if collected else 0
    return {
        "collection of all tests": Figure(round(seconds, 1), "s"),
        "collected tests": Figure(number, "", "counted"),
    }


def of_cold_starts(found: dict[str, Any]) -> dict[str, Figure]:
    """Returns the figures of cold starts in brief."""
    starts = [found["cold_starts"][name] for name in found["handlers"]]
    cpu = [1e3 * each["cpu_s"] for each in starts]
    return {
        "import of a handler: CPU, median": Figure(round(median(cpu), 1), "ms"),
        "import of a handler: CPU, at most": Figure(round(max(cpu), 1), "ms"),
        "import of a handler: all modules, at most": Figure(
            max(each["modules"] for each in starts), ""
        ),
    }


def _output(module: str, *arguments: str) -> str:
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise _MeasurementFailed(
            f"`python -m {module}` has failed: run it alone\n{done.stdout[-2000:]}{done.stderr}"
        )
    return done.stdout


def main() -> None:
    """Measures a rehearsal, imports, the collection of tests and cold starts."""
    parser = argparse.ArgumentParser(prog="make bench", description=main.__doc__)
    parser.add_argument("--orders", type=int, default=1_000, help="orders to rehearse (1000)")
    parser.add_argument("--rounds", type=int, default=10, help="samples of each cold start (10)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there too")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table there too")
    parser.add_argument(
        "--against", type=Path, metavar="FILE", help="show those of an earlier --json beside them"
    )
    options = parser.parse_args()
    console = Console()
    try:
        before = read(options.against) if options.against else None
        found, more = _measured(options.orders, options.rounds, console)
    except (
        *(PackagingError, RehearsalError, SynthesisError),
        *(UnusableFigures, _MeasurementFailed),
    ) as error:
        sys.exit(f"error: {error}")
    console.print(table(found, before))
    if options.markdown:
        options.markdown.write_text(markdown(found, before))
    if options.json:
        options.json.write_text(to_json(found, more))


def _measured(orders: int, rounds: int, console: Console) -> tuple[Figures, dict[str, Any]]:
    cold = cold_starts.measured(rounds, console)
    with console.status(f"Rehearsing {orders:,} orders"):
        rehearsed, shares = of_rehearsal(orders)
    with console.status("Rehearsing an order of each kind"):
        counted = of_counts()
    with console.status("Collecting the tests"):
        collected = of_collection()
    figures = {**rehearsed, **counted, **of_cold_starts(cold), **collected}
    return Figures(interpreter(), machine(), figures, shares), {"cold_starts": cold}


if __name__ == "__main__":
    main()
