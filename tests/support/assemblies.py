"""Cloud assemblies for tests: synthesized once, by the first test process that needs them."""

from pathlib import Path

from filelock import FileLock

from stacks.environment import BusKind, environment_named
from stacks.synthesis import host_assembly


def assembly_directory(stage: str, shared: Path, *, bus: BusKind | None = None) -> Path:
    """The assembly of a stage, if need be on another kind of bus than the stage's own.

    Processes that use the same `shared` wait for each other.
    """
    with FileLock(shared / f"{stage}-{bus or environment_named(stage).bus}.lock"):
        return host_assembly(stage, bus=bus)
