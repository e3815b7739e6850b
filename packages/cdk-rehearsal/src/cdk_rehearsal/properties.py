"""Reads a resource's properties, and reports those that no creator has read."""

from __future__ import annotations

from typing import Any

from cdk_rehearsal.errors import UnsupportedTemplateError


class Properties:
    """The resolved properties of one resource, or of one object within them.

    Whatever is neither taken nor ignored when ``finish`` is called is an error: the rehearsal
    would not do what it says.
    """

    def __init__(self, values: dict[str, Any], where: str) -> None:
        """``where`` names stack, logical id and type, for errors."""
        self.values = values
        self.where = where
        self._left = set(values)
        self._parts: list[Properties] = []

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def take(self, name: str, default: Any = None) -> Any:
        """Return a property as it is, or ``default``."""
        self._left.discard(name)
        return self.values.get(name, default)

    def require(self, name: str) -> Any:
        """Return a property that has to be there."""
        if name not in self.values:
            raise self.error(f"the property {name} is missing")
        return self.take(name)

    def integer(self, name: str, default: int) -> int:
        """Return a number, which templates may write as a string."""
        return int(self.take(name, default))

    def optional_integer(self, name: str) -> int | None:
        """Return a number or None."""
        value = self.take(name)
        return None if value is None else int(value)

    def boolean(self, name: str, default: bool) -> bool:
        """Return a truth value, which templates may write as a string."""
        value = self.take(name, default)
        return value if isinstance(value, bool) else str(value).lower() == "true"

    def section(self, name: str) -> Properties:
        """Return an object within, empty if it is not there; its leftovers count as well."""
        part = Properties(self.take(name) or {}, f"{self.where}: {name}")
        self._parts.append(part)
        return part

    def sections(self, name: str) -> list[Properties]:
        """Return the objects of a list within; their leftovers count as well."""
        parts = [
            Properties(value, f"{self.where}: {name}[{index}]")
            for index, value in enumerate(self.take(name) or [])
        ]
        self._parts.extend(parts)
        return parts

    def pick(self, *names: str) -> dict[str, Any]:
        """Return those of the named properties that are there."""
        self._left.difference_update(names)
        return {name: self.values[name] for name in names if name in self.values}

    def ignore(self, *names: str) -> None:
        """Accept properties that make no difference to a rehearsal."""
        self._left.difference_update(names)

    def only(self, name: str, *values: Any) -> None:
        """Accept a property with one of these values; with another it is an error."""
        value = self.take(name)
        if value is not None and value not in values:
            raise self.error(f"the rehearsal does not know {name} = {value!r}")

    def error(self, message: str) -> UnsupportedTemplateError:
        """Return an error that says where it is."""
        return UnsupportedTemplateError(f"{self.where}: {message}")

    def finish(self) -> None:
        """Raise UnsupportedTemplateError if properties are left."""
        if self._left:
            names = ", ".join(sorted(self._left))
            raise self.error(
                f"unknown property {names}; teach the rehearsal what it means, or to ignore it"
            )
        for part in self._parts:
            part.finish()
