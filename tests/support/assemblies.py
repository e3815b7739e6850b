"""Cloud assemblies for tests: synthesized once, whichever test process asks first."""

from pathlib import Path

from filelock import FileLock

from stacks.synthesis import host_assembly


def assembly_directory(stage: str, shared: Path) -> Path:
    """The assembly of a stage; the processes that have `shared` in common wait for each other."""
    with FileLock(shared / f"{stage}.lock"):
        return host_assembly(stage)
