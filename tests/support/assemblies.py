"""Cloud assemblies for tests: synthesized once per session, whoever asks first."""

from pathlib import Path

from filelock import FileLock

from stacks.synthesis import synthesize


def assembly_directory(stage: str, shared: Path) -> Path:
    """The assembly of a stage in `shared`, made by whichever test process comes first."""
    directory = shared / "assemblies" / stage
    directory.parent.mkdir(exist_ok=True)
    with FileLock(directory.with_suffix(".lock")):
        if not (directory / "manifest.json").exists():
            synthesize(stage, directory, target="host", validation=False)
    return directory
