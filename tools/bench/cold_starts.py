"""Compares each handler's cold start with a typical handler's."""

import dataclasses
import hashlib
import shutil
import sys
from pathlib import Path
from statistics import median
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from stacks.constructs.bytecode import compile_trees
from stacks.constructs.packaging import (
    PYTHON_VERSION,
    Target,
    contexts,
    function_directory,
    install,
    layer_directory,
    prepare,
)
from tools.bench.measure import (
    MAX_MODULES,
    MAX_PEAK_BYTES,
    MAX_SHARE,
    MAX_ZIPPED_BYTES,
    ColdStart,
    Subject,
    cold_start,
    handler_modules,
    packaged,
    zipped_bytes,
)
from workspace.isolation import PROJECT

BARE = Subject(name="bare interpreter")
REFERENCE = "A: reference"
PRECOMPILED = "B: reference, precompiled"


def references() -> tuple[Subject, Subject]:
    """Returns the reference handler with its dependencies: as deployed, and precompiled."""
    here = Path(__file__).parent
    requirements = here / "requirements.txt"
    handler = here / "reference_handler.py"
    key = f"{sys.version}{requirements.read_text()}{handler.read_text()}"
    digest = hashlib.sha256(key.encode()).hexdigest()[:16]
    plain = PROJECT / ".build" / f"reference-{digest}"
    compiled = PROJECT / ".build" / f"reference-compiled-{digest}"
    if not compiled.is_dir():
        shutil.rmtree(plain, ignore_errors=True)
        install(requirements, plain, Target.HOST)
        shutil.copy(handler, plain)
        unfinished = compiled.with_name("reference-unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.copytree(plain, unfinished)
        compile_trees("{}.{}".format(*sys.version_info), [(str(unfinished), "/var/task")])
        unfinished.rename(compiled)
    return (
        Subject(name=REFERENCE, module=handler.stem, paths=(plain,)),
        Subject(name=PRECOMPILED, module=handler.stem, paths=(compiled,)),
    )


def measure(subjects: list[Subject], rounds: int, console: Console) -> dict[str, ColdStart]:
    """Returns medians by name. Rounds are interleaved, so that other load affects all equally."""
    samples: dict[str, list[ColdStart]] = {subject.name: [] for subject in subjects}
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("Starting cold", total=(rounds + 1) * len(subjects))
        for number in range(rounds + 1):
            for subject in subjects:
                sample = cold_start(subject)
                # The first round brings the files into memory.
                if number:
                    samples[subject.name].append(sample)
                progress.advance(task)
    return {
        name: ColdStart(
            cpu_s=median(sample.cpu_s for sample in taken),
            cpu_with_client_s=median(sample.cpu_with_client_s for sample in taken),
            modules=taken[0].modules,
            peak_bytes=int(median(sample.peak_bytes for sample in taken)),
        )
        for name, taken in samples.items()
    }


def zipped_sizes() -> dict[str, int]:
    """Returns the bytes of each context's package with its layer, zipped for AWS Lambda."""
    layer = zipped_bytes(layer_directory(Target.LAMBDA))
    return {
        context: layer + zipped_bytes(function_directory(context, Target.LAMBDA))
        for context in contexts()
    }


def table(figures: dict[str, ColdStart], handlers: list[str]) -> Table:
    """Returns the figures as a table, with missed goals in red."""
    title = f"Cold starts on Python {sys.version.split()[0]}, medians"
    shown = Table(title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    shown.add_column("import of", no_wrap=True)
    for heading in ("CPU ms", "of A", "of B", "+client", "modules", "MiB"):
        shown.add_column(heading, justify="right", no_wrap=True)
    cpu, peak = f"≤{MAX_SHARE:.2f}", f"≤{MAX_PEAK_BYTES / 2**20:.0f}"
    shown.add_row("goal", "", cpu, "", "", f"≤{MAX_MODULES}", peak, style="bold")
    shown.add_section()
    for name, found in figures.items():
        goal = name in handlers
        share = found.cpu_s / figures[REFERENCE].cpu_s
        shown.add_row(
            name,
            f"{found.cpu_s * 1e3:.0f}",
            _mark(f"{share:.2f}", goal and share > MAX_SHARE),
            f"{found.cpu_s / figures[PRECOMPILED].cpu_s:.2f}",
            f"{found.cpu_with_client_s * 1e3:.0f}" if name != BARE.name else "",
            _mark(f"{found.modules}", goal and found.modules > MAX_MODULES),
            _mark(f"{found.peak_bytes / 2**20:.1f}", goal and found.peak_bytes > MAX_PEAK_BYTES),
        )
        if name == PRECOMPILED:
            shown.add_section()
    shown.caption = (
        "CPU ms: the whole process, including the interpreter's start. Handlers: package and "
        "layer as deployed, pruned and precompiled. A: a typical handler that creates its clients "
        "at import, with all its dependencies and no bytecode, as most tools deploy it. B: the "
        "same, precompiled. +client: CPU ms including the creation of a DynamoDB client. MiB: "
        "peak memory."
    )
    shown.caption_justify = "left"
    return shown


def sizes_table(sizes: dict[str, int]) -> Table:
    """Returns the sizes of the deployment packages as a table."""
    shown = Table(
        box=SIMPLE_HEAD,
        title=f"Deployment packages with their layer, zipped, Python {PYTHON_VERSION}",
    )
    shown.add_column("context")
    shown.add_column("MB", justify="right")
    shown.add_row("goal", f"≤ {MAX_ZIPPED_BYTES / 1e6:.0f}", style="bold", end_section=True)
    for context, size in sizes.items():
        shown.add_row(context, _mark(f"{size / 1e6:.2f}", size > MAX_ZIPPED_BYTES))
    return shown


def _mark(text: str, missed: bool) -> str:
    return f"[red]{text}[/red]" if missed else text


def report(
    figures: dict[str, ColdStart], sizes: dict[str, int], names: list[str]
) -> dict[str, Any]:
    """Returns all figures, and whether every handler meets each goal."""
    handlers = [figures[name] for name in names]
    base = figures[REFERENCE].cpu_s
    return {
        "handlers": names,
        "cold_starts": {name: dataclasses.asdict(found) for name, found in figures.items()},
        "zipped_bytes": sizes,
        "goals_met": {
            "cpu": all(found.cpu_s <= MAX_SHARE * base for found in handlers),
            "modules": all(found.modules <= MAX_MODULES for found in handlers),
            "peak": all(found.peak_bytes <= MAX_PEAK_BYTES for found in handlers),
            "zipped": all(size <= MAX_ZIPPED_BYTES for size in sizes.values()),
        },
    }


def measured(rounds: int, console: Console) -> dict[str, Any]:
    """Measures each handler's cold start, prints tables and goals, and returns all figures.

    Raises PackagingError if the packages cannot be built.
    """
    with console.status("Building the packages"):
        prepare(Target.HOST)
        prepare(Target.LAMBDA)
        typical = references()
        handlers = [packaged(module) for module in handler_modules()]
        sizes = zipped_sizes()
    names = [handler.name for handler in handlers]
    figures = measure([BARE, *typical, *handlers], rounds, console)
    console.print(table(figures, names))
    console.print(sizes_table(sizes))
    found = report(figures, sizes, names)
    for goal, met in found["goals_met"].items():
        console.print(f"goal {goal}: {'met' if met else '[red]missed[/red]'}")
    return found
