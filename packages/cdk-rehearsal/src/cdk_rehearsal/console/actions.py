"""What an application adds to the page: buttons, forms, and its own documentation."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal


@dataclass(frozen=True)
class Field:
    """Something that the viewer fills in."""

    name: str
    label: str
    value: str = ""
    options: Callable[[], Iterable[str]] = tuple
    """Returns values that make sense now."""
    kind: Literal["text", "number", "choice", "lines"] = "text"
    """The value of a `choice` has to be one of the options; that of a `number` becomes an int."""

    def taken(self, value: object) -> str | int:
        """Returns a value that the viewer gave. Raises ValueError with what is wrong with it."""
        text = str(value)
        if self.kind == "number":
            if not text.strip().lstrip("-").isdecimal():
                raise ValueError(f"{self.label} {text!r} is no whole number")
            return int(text)
        if self.kind == "choice" and text not in (options := [*self.options()]):
            raise ValueError(f"{self.label} {text!r} is none of {', '.join(options)}")
        return text


@dataclass(frozen=True)
class Action:
    """A button of the page, or a form. `run` is called between two steps of the rehearsal.

    It gets the fields' values by name, and returns plain values: `text` says what came of it, and
    `good` whether that is well. `columns` and `rows` of a table, an `answer` as text and the id of
    a `trace` are optional.
    """

    name: str
    says: str
    run: Callable[..., dict[str, Any]]
    fields: Sequence[Field] = ()
    role: str = ""
    """As whom the viewer acts with a form. A button has none."""
    judges: bool = False
    """Whether it judges all that has happened. Branches of a rehearsal are compared by it."""

    def form(self) -> dict[str, Any]:
        """Returns the form as plain values, with the options of now."""
        fields = [
            {
                "name": each.name,
                "label": each.label,
                "value": each.value,
                "options": [*each.options()],
                "kind": each.kind,
            }
            for each in self.fields
        ]
        return {"name": self.name, "says": self.says, "role": self.role, "fields": fields}

    def taken(self, values: Mapping[str, object]) -> dict[str, str | int]:
        """Returns the values of all fields. Raises ValueError with what is wrong."""
        if unknown := values.keys() - {each.name for each in self.fields}:
            raise ValueError(f"{self.name} has no field {', '.join(sorted(unknown))}")
        return {each.name: each.taken(values.get(each.name, each.value)) for each in self.fields}


@dataclass(frozen=True)
class Site:
    """A folder with pages about the application, which the console serves and links to.

    Its file `pages.json` has their addresses in the folder by construct path, those of alarms too.
    """

    directory: Path
    build: str
    """The command that builds it."""

    def pages(self) -> dict[str, str]:
        """Returns the addresses, or none if the site is not built."""
        try:
            found: dict[str, str] = json.loads((self.directory / "pages.json").read_bytes())
        except FileNotFoundError:
            return {}
        return found
