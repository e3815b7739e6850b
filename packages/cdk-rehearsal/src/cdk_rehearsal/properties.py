"""Reads a resource's properties, and reports those that no creator has read."""

from __future__ import annotations

from typing import Any

from cdk_rehearsal.errors import UnsupportedTemplateError

_UNRESOLVED = "unresolved "


def unresolved(name: str) -> str:
    """Returns the value that stands for a property whose functions cannot be resolved."""
    return f"{_UNRESOLVED}{name}"


def is_unresolved(value: Any) -> bool:
    """Whether a value stands for one that cannot be resolved, which is reported already."""
    return isinstance(value, str) and value.startswith(_UNRESOLVED)


class Properties:
    """The resolved properties of one resource, or of one object within them.

    A property that is neither taken nor ignored is a problem: the rehearsal would not do what it
    says.
    """

    def __init__(
        self, values: dict[str, Any], where: str, problems: list[str] | None = None
    ) -> None:
        """``where`` names stack, logical id and type, for errors."""
        self.problems: list[str] = [] if problems is None else problems
        """Values that are not known, with those of the objects within."""
        self.values = values
        self.where = where
        self.ignored: set[str] = set()
        """Properties that make no difference."""
        self._left = set(values)
        self._parts: list[Properties] = []

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def take(self, name: str, default: Any = None) -> Any:
        """Returns a property as it is, or ``default``."""
        self._left.discard(name)
        return self.values.get(name, default)

    def require(self, name: str) -> Any:
        """Returns a property that has to be there."""
        if name not in self.values:
            raise self.error(f"the property {name} is missing")
        return self.take(name)

    def integer(self, name: str, default: int) -> int:
        """Returns a number, which templates may write as a string."""
        return int(self.take(name, default))

    def optional_integer(self, name: str) -> int | None:
        """Returns a number or None."""
        value = self.take(name)
        return None if value is None else int(value)

    def boolean(self, name: str, default: bool) -> bool:
        """Returns a truth value, which templates may write as a string."""
        value = self.take(name, default)
        return value if isinstance(value, bool) else str(value).lower() == "true"

    def section(self, name: str) -> Properties:
        """Returns an object within, empty if it is not there; its leftovers count as well."""
        value = self.take(name)
        value = {} if is_unresolved(value) else value or {}
        part = Properties(value, f"{self.where}: {name}", self.problems)
        self._parts.append(part)
        return part

    def sections(self, name: str) -> list[Properties]:
        """Returns the objects of a list within; their leftovers count as well."""
        parts = [
            Properties(value, f"{self.where}: {name}[{index}]", self.problems)
            for index, value in enumerate(self._list(name))
        ]
        self._parts.extend(parts)
        return parts

    def _list(self, name: str) -> list[Any]:
        value = self.take(name)
        return [] if is_unresolved(value) else value or []

    def pick(self, *names: str) -> dict[str, Any]:
        """Returns those of the named properties that are there."""
        self._left.difference_update(names)
        return {name: self.values[name] for name in names if name in self.values}

    def ignore(self, *names: str) -> None:
        """Accepts properties that make no difference to a rehearsal."""
        self._left.difference_update(names)
        self.ignored.update(names)

    def only(self, name: str, *values: Any) -> None:
        """Accepts a property with one of these values; another one is a problem."""
        value = self.take(name)
        if value is not None and value not in values:
            self.problems.append(f"{self.where}: the rehearsal does not know {name} = {value!r}")

    def error(self, message: str) -> UnsupportedTemplateError:
        """Returns an error that says where it is."""
        return UnsupportedTemplateError(f"{self.where}: {message}")

    def unknown(self, known: frozenset[str] = frozenset()) -> list[str]:
        """Returns a problem for each property that was neither taken nor ignored.

        ``known`` are names of properties that the creator would have taken later.
        """
        found = [
            f"{self.where}: unknown property {name}; teach the rehearsal what it means, or to "
            "ignore it"
            for name in sorted(self._left - known)
        ]
        return [*found, *(problem for part in self._parts for problem in part.unknown(known))]
