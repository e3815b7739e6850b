"""Stand-ins: what takes the place of code and values that are not in the assembly.

A function in another language, in a container image or of a partner is answered by a *stub*, a
Python callable. Values from outside, such as imported exports and parameters without a default,
are given by name. Whatever is neither given nor invented is an error when the assembly is loaded.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from cdk_rehearsal.errors import RehearsalError

Stub = Callable[[Any, Any], Any]
"""A handler: it gets an event and a context, and returns the answer."""

SSM_PARAMETER = "AWS::SSM::Parameter::Value"
"""The beginning of the types of parameters whose values are stored in Systems Manager."""
LISTS = (
    *("CommaDelimitedList", "List<"),
    *(f"{SSM_PARAMETER}<{kind}" for kind in ("CommaDelimitedList", "List<")),
)
"""The beginnings of the types of parameters whose values are lists."""


@dataclass(frozen=True)
class StandIn:
    """One thing that something else stands for in a rehearsal."""

    path: str
    """The path of a resource, the ARN of one outside the assembly, or the name of a value."""
    says: str
    """The substitute, in words."""

    def __str__(self) -> str:
        """One line: the name and the substitute."""
        return f"{self.path}: {self.says}"


class StandIns:
    """The stubs and values of a rehearsal, and a list of those that were used."""

    def __init__(
        self, stubs: Mapping[str, Stub | None], values: Mapping[str, Any], *, invents: bool
    ) -> None:
        """With ``invents``, whatever is not given is made up."""
        self.invents = invents
        self.used: list[StandIn] = []
        self._stubs = stubs
        self._values = values
        self._seen: set[str] = set()

    def note(self, path: str, says: str) -> None:
        """Records a stand-in, once."""
        found = StandIn(path, says)
        if found not in self.used:
            self.used.append(found)

    def stub(self, path: str, *, runs: bool) -> Stub | None:
        """Returns the stub for a function; a pattern is only for one that cannot run."""
        if self.gives(path):
            self.note(path, "answered by its stub")
            return self._stubs[path]
        for pattern, stub in self._stubs.items():
            if not runs and fnmatchcase(path, pattern):
                self._seen.add(pattern)
                self.note(path, f"answered by the stub of {pattern}")
                return stub
        if runs or not self.invents:
            return None
        self.note(path, "a function that does nothing and answers null")
        return _nothing

    def gives(self, name: str) -> bool:
        """Whether there is a stub with exactly this path or ARN."""
        found = name in self._stubs
        if found:
            self._seen.add(name)
        return found

    def value(self, *names: str) -> Any:
        """Returns the value that is given under the first of these names, or None."""
        for name in names:
            if name in self._values:
                self._seen.add(name)
                return self._values[name]
        return None

    def invented(self, name: str, kind: str = "String", allowed: Any = None) -> Any:
        """Returns a value that is made up for a type of parameter; None if that is not allowed."""
        if not self.invents:
            return None
        value: Any = f"stand-in-{re.sub(r'[^A-Za-z0-9]+', '-', name).strip('-')}"[:60]
        if allowed:
            value = allowed[0]
        elif name.lower().endswith("arn"):
            value = f"arn:aws:stand-in:::{value}"
        elif "Number" in kind:
            value = "1"
        elif kind.startswith(LISTS):
            value = [f"{value}-1", f"{value}-2"]
        self.note(name, f"the value {value!r}")
        return value

    def check(self) -> None:
        """Raises RehearsalError if a stub or value is for nothing in the assembly."""
        unused = sorted({*self._stubs, *self._values} - self._seen)
        if unused:
            raise RehearsalError(
                f"nothing in the assembly takes the stand-ins {', '.join(unused)}: correct their "
                "names, or remove them"
            )


def _nothing(event: Any, context: Any) -> None:
    """Answers null, as a function without a return statement does."""
