"""Frozen copies of the events' schemas, on which consumers rely, and the effects of changes."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lambdas.eventing.event import Event
from stacks.schemas.events import DEFINED, context_of, readers, readers_of
from stacks.schemas.json_schema import Schema, any_envelope_schema, data_schema
from tools.contracts.compatibility import Breaking, breaking_changes
from workspace.isolation import PROJECT

COPIES = PROJECT / "docs" / "events"
RENEW = "make generated"

_SUFFIX = ".schema.json"
_PAGE = "docs/decisions/0022-a-new-version-beside-the-old.md"


@dataclass(frozen=True, kw_only=True)
class Contract:
    """A schema on which others rely, and its readers."""

    name: str
    file: str
    """The path of its copy, below the copies' directory."""
    schema: Schema
    readers: tuple[str, ...]
    advice: str
    """How to change it without breaking its readers."""


@dataclass(frozen=True, kw_only=True)
class Review:
    """The differences between the classes and the copies."""

    broken: Mapping[str, str] = field(default_factory=dict)
    """By file: what breaks, for which readers, and the remedy."""
    stale: Mapping[str, str] = field(default_factory=dict)
    """By file: a message that its copy is out of date, which breaks no reader."""

    def __str__(self) -> str:
        """All messages, one a line."""
        return "\n".join([*self.broken.values(), *self.stale.values()])


def contracts() -> dict[str, Contract]:
    """Returns the contracts of the envelope and of each event, by the file of the copy."""
    envelope = Contract(
        name="the envelope of all events",
        file=f"envelope{_SUFFIX}",
        schema=any_envelope_schema(),
        readers=tuple(readers()),
        advice="Add what you need beside what there is: an attribute that may be left out.",
    )
    found = [envelope, *(contract_of(event) for event in DEFINED.values())]
    return {contract.file: contract for contract in found}


def contract_of(event: type[Event]) -> Contract:
    """Returns the contract of an event."""
    return Contract(
        name=event.detail_type(),
        file=f"{context_of(event)}/{event.detail_type()}{_SUFFIX}",
        schema=data_schema(event),
        readers=readers_of(event),
        advice=_next_version(event),
    )


def review(current: Mapping[str, Contract], copies: Path = COPIES) -> Review:
    """Compares the present classes with the copies in a directory."""
    broken: dict[str, str] = {}
    stale: dict[str, str] = {}
    frozen = {path.relative_to(copies).as_posix(): path for path in copies.rglob(f"*{_SUFFIX}")}
    for file in sorted({*current, *frozen}):
        contract, copy = current.get(file), frozen.get(file)
        if contract is None:
            broken[file] = _vanished(file)
        elif copy is None:
            stale[file] = f"{contract.name} has no copy in {_shown(copies / file)}: `{RENEW}`"
        elif copy.read_text(encoding="utf-8") != text(contract.schema):
            changes = breaking_changes(json.loads(copy.read_bytes()), contract.schema)
            if changes:
                broken[file] = "\n".join(_complaint(contract, changes))
            else:
                stale[file] = (
                    f"{contract.name} has changed in a way that breaks nobody: renew its copy "
                    f"{_shown(copies / file)} with `{RENEW}`"
                )
    return Review(broken=broken, stale=stale)


def renew(current: Mapping[str, Contract], copies: Path = COPIES) -> Review:
    """Writes the copies that are out of date, except those of breaking changes."""
    found = review(current, copies)
    for file in found.stale:
        path = copies / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text(current[file].schema), encoding="utf-8")
    return found


def text(schema: Schema) -> str:
    """Returns a schema as the text of its file."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _complaint(contract: Contract, changes: list[Breaking]) -> Iterator[str]:
    yield f"{contract.name} has changed in a way that breaks others:"
    for change in changes:
        yield f"  {change}"
        if change.consumers:
            yield "    breaks those who read it with the class as it was"
        if change.history:
            yield "    breaks what was published before: archives, queues, dead-letter queues"
    here = ", ".join(contract.readers) or "none"
    yield f"  Its readers here: {here}. Others may read it from the bus."
    yield f"  {contract.advice}"


def _next_version(event: type[Event]) -> str:
    name = event.__name__.removesuffix(f"V{event.version}")
    old, number = f"{name}V{event.version}", event.version + 1
    if event.__name__ == old:
        return f"{old} is superseded: leave it as it is until it is retired. See {_PAGE}."
    return (
        f"Publish {name}.v{number} beside {event.detail_type()}: in "
        f"{event.__module__.replace('.', '/')}.py call the class as it was {old}, give it an "
        f"`upcast` to the changed {name}, let that have `version = {number}` and "
        f"`supersedes = {old}`, publish with `also_as=[{old}(…)]`, and add {old} to "
        f"`publishes=` of the handler. See {_PAGE}."
    )


def _vanished(file: str) -> str:
    context, _, name = file.removesuffix(_SUFFIX).rpartition("/")
    return (
        f"{name} has a copy in {_shown(COPIES / file)}, but lambdas/{context}/events.py has no "
        "such class any more: whoever reads it from the bus gets nothing, and what was published "
        "before can no longer be read when it comes back. Keep the class, which no handler "
        "publishes, until the archive has dropped the last such event; then delete both. "
        f"See {_PAGE}."
    )


def _shown(path: Path) -> str:
    return str(path.relative_to(PROJECT) if path.is_relative_to(PROJECT) else path)
