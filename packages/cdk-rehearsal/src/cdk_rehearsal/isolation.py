"""The environment variables of a machine that a synthesis or a rehearsal may see: an allow-list.

This module imports only the standard library, so that set-up can use it before anything is
installed.
"""

import os
from collections.abc import Mapping
from pathlib import Path

_TERMINAL = frozenset(
    {"TERM", "COLORTERM", "COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "LANG", "LANGUAGE", "TZ"}
)
_PROCESS = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "CI"),
        # Library paths, for a Python or Node that was built on the machine.
        *("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "NIX_LD", "NIX_LD_LIBRARY_PATH"),
        # jsii's error messages advise to set this one if its cache fails.
        "JSII_RUNTIME_PACKAGE_CACHE",
    }
)
TEMPORARY = frozenset({"TMPDIR", "TMP", "TEMP"})
"""Variables that name the folder for temporary files."""
# pytest-xdist and mutmut pass these to their own processes.
_PROCESS_PREFIXES = ("LC_", "PYTEST_XDIST_", "MUTANT_")


def allowed(environ: Mapping[str, str]) -> dict[str, str]:
    """Returns the variables that may reach a synthesis or a rehearsal.

    None of them has a meaning for boto3, botocore, moto, Powertools, the CDK, pip or Node.
    """
    terminal = {name: environ[name] for name in environ if name in _TERMINAL}
    return {**terminal, **process_variables(environ)}


def process_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Returns the allowed variables except those of the terminal.

    A variable for temporary files that names no writable folder is left out: Node.js fails with it.
    """
    return {
        name: value
        for name, value in environ.items()
        if name in _PROCESS
        or name.startswith(_PROCESS_PREFIXES)
        or (name in TEMPORARY and _is_writable_folder(Path(value)))
    }


def _is_writable_folder(path: Path) -> bool:
    return path.is_absolute() and path.is_dir() and os.access(path, os.W_OK | os.X_OK)
