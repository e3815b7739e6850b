"""Virtual environments that have some of the installed distributions and nothing else."""

import re
import subprocess
import sys
from pathlib import Path

from packaging.markers import Marker

from distribution.wheel import link

_LOCKED = re.compile(r"^([A-Za-z0-9_.-]+)(?:\[[^]]*\])?==[^;\n]*?(;[^\n\\]*)?\s*\\?$", re.MULTILINE)


def locked_in(requirements: Path) -> list[str]:
    """Names of the distributions in a lock file that apply to this machine."""
    return [
        name
        for name, marker in _LOCKED.findall(requirements.read_text())
        if not marker or Marker(marker.lstrip("; ")).evaluate()
    ]


def environment_of(names: list[str], folder: Path) -> Path:
    """Creates a virtual environment in `folder` that links to these installed distributions."""
    subprocess.run([sys.executable, "-I", "-m", "venv", "--without-pip", folder], check=True)
    (site,) = folder.glob("lib/python3.*/site-packages")
    link(names, site)
    return folder
