"""Survivors: `survivors.toml` explains each, and each of its explanations has a survivor."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from cdk_rehearsal.weakening import Mutant
from tools.mutation.campaign import OTHER_BUS

EXPLANATIONS = Path(__file__).with_name("survivors.toml")


@dataclass(frozen=True)
class SurvivorExplanation:
    """The reason why some mutants do no harm; the other fields are patterns that select them."""

    operator: str
    resource: str
    property: str
    why: str
    bus: str | None = None
    """The kind of bus whose mutants it explains; None: both."""

    def matches(self, mutant: Mutant) -> bool:
        """Whether the explanation is about this mutant."""
        return (
            fnmatchcase(mutant.operator.name, self.operator)
            and fnmatchcase(mutant.resource.path, self.resource)
            and fnmatchcase(mutant.property, self.property)
        )

    def __str__(self) -> str:
        """The patterns."""
        return f"{self.operator} | {self.resource} | {self.property}"


def explanations(path: Path = EXPLANATIONS) -> list[SurvivorExplanation]:
    """Reads a file of explanations, one for each property of each entry.

    Raises ValueError if an entry lacks a key or has an unknown one.
    """
    entries = tomllib.loads(path.read_text(encoding="utf-8")).get("survivor", [])
    for entry in entries:
        optional = {"resource", "properties", "bus"}
        if (
            entry.keys() - optional != {"operator", "why"}
            or not entry["why"].strip()
            or entry.get("bus") not in (None, *OTHER_BUS)
        ):
            raise ValueError(
                f"{path.name}: wrong entry {entry}: give an operator and a why, and optionally a "
                "resource, properties and a bus (classic or custom)"
            )
    return [
        SurvivorExplanation(
            entry["operator"], entry.get("resource", "*"), each, entry["why"], entry.get("bus")
        )
        for entry in entries
        for each in entry.get("properties", ["*"])
    ]


def unexplained(survivors: Sequence[Mutant], known: Sequence[SurvivorExplanation]) -> list[Mutant]:
    """Returns the survivors without an explanation."""
    return [mutant for mutant in survivors if not any(each.matches(mutant) for each in known)]


def stale(
    survivors: Sequence[Mutant], known: Sequence[SurvivorExplanation]
) -> list[SurvivorExplanation]:
    """Returns the explanations without a survivor."""
    return [each for each in known if not any(each.matches(mutant) for mutant in survivors)]
