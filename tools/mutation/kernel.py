"""make kernel: reports which of mutmut's mutants of the kernel the tests killed."""

import json
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from workspace.isolation import PROJECT

KILLED_AT_LEAST = 0.9
MUTANTS = PROJECT / "mutants" / "lambdas" / "eventing"

_UNKNOWN = "not checked"
_STATUSES = {0: "survived", 1: "killed", 3: "killed", 5: "no tests", 33: "no tests", 36: "timeout"}
"""The status of a mutant by the exit code of pytest, or of mutmut if it stopped pytest.

https://docs.pytest.org/en/stable/reference/exit-codes.html
"""
_KILLED = {"killed", "timeout"}


def statuses(metas: Iterable[Path]) -> dict[str, str]:
    """Reads the status of each mutant from mutmut's files, by the mutant's name."""
    return {
        name: _UNKNOWN if code is None else _STATUSES.get(code, "timeout")
        for meta in metas
        for name, code in json.loads(meta.read_bytes())["exit_code_by_key"].items()
    }


def summary(status_of: dict[str, str]) -> tuple[str, bool]:
    """Returns a line with the figures, and whether all mutants ran and enough were killed."""
    counts = Counter(status_of.values())
    killed = sum(counts[each] for each in _KILLED) / max(1, len(status_of))
    figures = ", ".join(f"{number} {each}" for each, number in counts.most_common())
    line = f"{len(status_of)} mutants of the kernel: {figures}; {killed:.1%} are killed"
    return line, killed >= KILLED_AT_LEAST and not counts[_UNKNOWN]


def main() -> None:
    """Prints the survivors and the figures. Exits with 1 if too few mutants are killed."""
    status_of = statuses(sorted(MUTANTS.glob("*.meta")))
    for name, status in status_of.items():
        if status not in _KILLED:
            print(f"{status}: {name}")
    line, enough = summary(status_of)
    print(line)
    if not enough:
        sys.exit(f"error: kill at least {KILLED_AT_LEAST:.0%}; mutmut show NAME prints a mutant")


if __name__ == "__main__":
    main()
