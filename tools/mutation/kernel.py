"""make kernel: what became of mutmut's mutants of the kernel, and whether that is enough."""

import json
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from stacks.constructs.packaging import PROJECT

KILLED_AT_LEAST = 0.9
MUTANTS = PROJECT / "mutants" / "lambdas" / "eventing"

_UNKNOWN = "not checked"
_BECAME = {0: "survived", 1: "killed", 3: "killed", 5: "no tests", 33: "no tests", 36: "timeout"}
"""By the exit code of pytest, or of what stopped it.

https://docs.pytest.org/en/stable/reference/exit-codes.html
"""
_NOTICED = {"killed", "timeout"}


def outcomes(metas: Iterable[Path]) -> dict[str, str]:
    """What became of each mutant, by its name."""
    return {
        name: _UNKNOWN if code is None else _BECAME.get(code, "timeout")
        for meta in metas
        for name, code in json.loads(meta.read_bytes())["exit_code_by_key"].items()
    }


def verdict(became: dict[str, str]) -> tuple[str, bool]:
    """A line with the figures, and whether enough mutants were noticed, and all were looked at."""
    counts = Counter(became.values())
    noticed = sum(counts[each] for each in _NOTICED) / max(1, len(became))
    figures = ", ".join(f"{number} {each}" for each, number in counts.most_common())
    line = f"{len(became)} mutants of the kernel: {figures}; {noticed:.1%} are noticed"
    return line, noticed >= KILLED_AT_LEAST and not counts[_UNKNOWN]


def main() -> None:
    """Print what survived and the figures; exit with 1 if that is not enough."""
    became = outcomes(sorted(MUTANTS.glob("*.meta")))
    for name, what in became.items():
        if what not in _NOTICED:
            print(f"{what}: {name}")
    line, enough = verdict(became)
    print(line)
    if not enough:
        sys.exit(f"error: at least {KILLED_AT_LEAST:.0%} have to be: mutmut show NAME tells more")


if __name__ == "__main__":
    main()
