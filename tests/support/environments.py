"""Virtual environments that have some of the installed distributions and nothing else."""

import re
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

_LOCKED = re.compile(r"^([A-Za-z0-9_.-]+)(?:\[[^]]*\])?==[^;\n]*?(;[^\n\\]*)?\s*\\?$", re.MULTILINE)


def locked_in(requirements: Path) -> list[str]:
    """Names of the distributions in a lock file that apply to this machine."""
    from packaging.markers import Marker

    return [
        name
        for name, marker in _LOCKED.findall(requirements.read_text())
        if not marker or Marker(marker.lstrip("; ")).evaluate()
    ]


def environment_of(names: list[str], folder: Path) -> Path:
    """Creates a virtual environment in `folder` that links to these installed distributions."""
    subprocess.run([sys.executable, "-I", "-m", "venv", "--without-pip", folder], check=True)
    (site,) = folder.glob("lib/python3.*/site-packages")
    for name in names:
        found = distribution(name)
        for part in {file.parts[0] for file in found.files or () if file.parts[0] != ".."}:
            source, link = Path(str(found.locate_file(part))), site / part
            if part != "__pycache__" and not link.exists():
                link.symlink_to(source)
            elif link.is_symlink() and link.is_dir() and link.resolve() != source.resolve():
                raise ValueError(f"{name} shares the folder {part} with another distribution")
    return folder
