"""Cloud assemblies for tests: synthesized once, by the first test process that needs them."""

from pathlib import Path

from filelock import FileLock

from stacks.synthesis import host_assembly


def assembly_directory(stage: str, shared: Path) -> Path:
    """The assembly of a stage; processes that use the same `shared` wait for each other."""
    with FileLock(shared / f"{stage}.lock"):
        return host_assembly(stage)
