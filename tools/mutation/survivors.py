"""Survivors: each is explained in `survivors.toml`, and each explanation has its survivor."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from tools.mutation.mutants import Mutant

EXPLANATIONS = Path(__file__).with_name("survivors.toml")


@dataclass(frozen=True)
class Explanation:
    """Why it does no harm that nothing notices mutants of these operators, on these resources."""

    operator: str
    """A pattern of the operator's name."""
    where: str
    """A pattern of the resource's path."""
    place: str
    """A pattern of the place in the resource."""
    why: str

    def is_of(self, mutant: Mutant) -> bool:
        """Whether this is about a mutant."""
        return (
            fnmatchcase(mutant.operator.name, self.operator)
            and fnmatchcase(mutant.resource.path, self.where)
            and fnmatchcase(mutant.place, self.place)
        )

    def __str__(self) -> str:
        """What it is about."""
        return f"{self.operator} | {self.where} | {self.place}"


def explanations(path: Path = EXPLANATIONS) -> list[Explanation]:
    """What is written, of each entry for each of its places.

    Raises ValueError for an entry that lacks something, or has more.
    """
    entries = tomllib.loads(path.read_text(encoding="utf-8")).get("survivor", [])
    for entry in entries:
        if entry.keys() - {"where", "places"} != {"operator", "why"} or not entry["why"].strip():
            raise ValueError(
                f"{path.name}: an entry has an operator, a why, and maybe a where and places: "
                f"{entry}"
            )
    return [
        Explanation(entry["operator"], entry.get("where", "*"), place, entry["why"])
        for entry in entries
        for place in entry.get("places", ["*"])
    ]


def unexplained(survivors: Sequence[Mutant], known: Sequence[Explanation]) -> list[Mutant]:
    """Survivors that nothing explains."""
    return [mutant for mutant in survivors if not any(each.is_of(mutant) for each in known)]


def stale(survivors: Sequence[Mutant], known: Sequence[Explanation]) -> list[Explanation]:
    """Explanations of what no longer survives."""
    return [each for each in known if not any(each.is_of(mutant) for mutant in survivors)]
