"""Resources that a change moves to another logical id or stack, and the mapping for `cdk refactor`.

CloudFormation keeps a moved resource only if a stack refactor moves it; a deployment deletes it and
creates another one. A refactor accepts moves and nothing else.
https://docs.aws.amazon.com/cdk/v2/guide/refactor.html
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cdk_rehearsal.assembly import Assembly, Resource
from cdk_rehearsal.topology.changes import Side, differences
from cdk_rehearsal.topology.replacements import STATEFUL

_METADATA = "AWS::CDK::Metadata"
_PLACEHOLDER = re.compile(r"\$\{([^!}.]+)([^}]*)\}")
_OF_SYNTHESIS = {"aws:cdk:path", "aws:asset:path"}
"""Metadata about the place of a construct or of a file, which differ between two folders."""
_OWN_STACK = {"AWS::StackName", "AWS::StackId"}

_MOST_SHOWN = 8

Location = tuple[str, str]
"""The name of a stack and a logical id, which identify a deployed resource."""


@dataclass(frozen=True)
class Move:
    """A resource before and after a change."""

    before: Resource
    after: Resource
    changed: Sequence[str] = ()
    """The properties that change as it moves; none in a mere move."""


@dataclass(frozen=True)
class Twins:
    """Moved resources of one type with the same properties: which one went where is unknown."""

    before: Sequence[Resource]
    after: Sequence[Resource]


@dataclass(frozen=True)
class Moves:
    """The moves of a change."""

    mere: Sequence[Move] = ()
    """Resources that move and do not change."""
    twins: Sequence[Twins] = ()
    changed: Sequence[Move] = ()
    """Resources with data that seem to move and to change at once."""
    besides: Sequence[str] = ()
    """Paths of resources that the change adds, removes or changes; in a refactor, none may be."""

    @property
    def mapping(self) -> dict[str, str]:
        """The locations of merely moved resources, as in `{"Shop.Queue1": "Shop.Queue2"}`.

        https://docs.aws.amazon.com/cdk/v2/guide/refactor.html
        """
        return {_written(each.before): _written(each.after) for each in self.mere}

    @property
    def alone(self) -> bool:
        """Whether the change only moves resources, so that a refactor accepts it."""
        return not self.besides

    @property
    def keeps_data(self) -> bool:
        """Whether a resource with data moves, so that a refactor is worth its steps."""
        found = [each.before for each in self.mere] + [each.before[0] for each in self.twins]
        return any(each.type in STATEFUL for each in found)

    def lines(self) -> Iterator[str]:
        """Yields a line of a review for each moved resource with data, and for each obstacle."""
        for move in self.mere:
            if move.before.type in STATEFUL:
                yield f"{_said(move)}: unchanged, so `cdk refactor` can keep it"
        for twins in self.twins:
            if twins.before[0].type in STATEFUL:
                yield (
                    f"**ambiguous**: {_listed(twins.before)} moved to {_listed(twins.after)}, all "
                    f"of type {twins.before[0].type} with the same properties: say in the mapping "
                    "which one went where"
                )
        for move in self.changed:
            yield (
                f"**moved and changed**: {_said(move)} changes {', '.join(move.changed)}: "
                "`cdk refactor` refuses this, so move it first and change it in a later deployment"
            )
        if self.keeps_data and not self.alone:
            yield (
                "the change does more than move resources, which `cdk refactor` refuses: put the "
                f"moves into a commit of their own, without the changes of {_some(self.besides)}"
            )


def moves(base: Assembly, head: Assembly) -> Moves:
    """Returns the resources that have another stack or logical id in `head` than in `base`.

    Resources are the same if their types and definitions are, with references replaced by the
    definitions that they lead to. So a resource that refers to a moved one is unchanged.
    """
    before, after = _Prints(base), _Prints(head)
    gone, new = _missing(base, head), _missing(head, base)
    mere, twins = [], []
    for key, sources in _grouped(before, gone).items():
        targets = _grouped(after, new).get(key, [])
        if len(sources) == len(targets) == 1:
            mere.append(Move(sources[0], targets[0]))
        elif targets:
            twins.append(Twins(sources, targets))
    paired = {id(each) for move in mere for each in (move.before, move.after)}
    paired |= {id(each) for pair in twins for each in (*pair.before, *pair.after)}
    return Moves(
        mere,
        twins,
        list(
            _changed(
                Side(base),
                Side(head),
                [each for each in gone if id(each) not in paired],
                [each for each in new if id(each) not in paired],
            )
        ),
        _besides(base, head),
    )


class _Prints:
    """Fingerprints of the resources of an assembly, independent of their locations."""

    def __init__(self, assembly: Assembly, *, deep: bool = True) -> None:
        """Unless they are `deep`, only the type of what a resource refers to counts."""
        self._assembly = assembly
        self._deep = deep
        self._known: dict[Location, str] = {}

    def all(self) -> Counter[str]:
        return Counter(self.of(each) for each in _deployed(self._assembly))

    def within(self, prints: Counter[str]) -> list[str]:
        """Returns the paths of the resources with these fingerprints."""
        return [each.path for each in _deployed(self._assembly) if self.of(each) in prints]

    def of(self, resource: Resource) -> str:
        location = _location(resource)
        if location not in self._known:
            # A template with a cycle cannot be deployed, but it can be compared.
            self._known[location] = resource.type
            content = {
                name: value for name, value in resource.definition.items() if name != "DependsOn"
            }
            metadata = {
                name: value
                for name, value in content.get("Metadata", {}).items()
                if name not in _OF_SYNTHESIS
            }
            plain = self._plain(resource.stack, {**content, "Metadata": metadata})
            text = json.dumps(plain, sort_keys=True)
            self._known[location] = hashlib.sha256(text.encode()).hexdigest()
        return self._known[location]

    def _plain(self, stack: str, value: Any) -> Any:
        """Replaces each reference by the fingerprint of its resource."""
        match value:
            case {"Ref": str(name)} if name in _OWN_STACK:
                return self._assembly.stack_names[stack]
            case {"Ref": _} | {"Fn::GetAtt": _} | {"Fn::ImportValue": _}:
                return self._reference(*self._assembly.origin(stack, value))
            case {"Fn::Sub": str(text)}:
                return self._substituted(stack, text)
            case {"Fn::Sub": [str(text), variables]}:
                return [self._substituted(stack, text), self._plain(stack, variables)]
            case {**entries}:
                return {key: self._plain(stack, inner) for key, inner in entries.items()}
            case list():
                return [self._plain(stack, inner) for inner in value]
        return value

    def _reference(self, stack: str, value: Any) -> Any:
        match value:
            case {"Ref": str(name)}:
                attribute = ""
            case {"Fn::GetAtt": [str(name), attribute]}:
                pass
            case {"Fn::GetAtt": str(dotted)}:
                name, _, attribute = dotted.partition(".")
            case _:
                return value
        found = self._assembly.identified(stack, name)
        return ["reference", self._target(found), attribute] if found else value

    def _target(self, resource: Resource) -> str:
        return self.of(resource) if self._deep else resource.type

    def _substituted(self, stack: str, text: str) -> str:
        def replace(match: re.Match[str]) -> str:
            found = self._assembly.identified(stack, match[1])
            return f"${{{self._target(found) if found else match[1]}{match[2]}}}"

        return _PLACEHOLDER.sub(replace, text)


def _besides(base: Assembly, head: Assembly) -> list[str]:
    """The resources that are not the same in both, without those that only refer to such ones."""
    found: list[str] = []
    for deep in (False, True):
        before, after = _Prints(base, deep=deep), _Prints(head, deep=deep)
        less, more = before.all() - after.all(), after.all() - before.all()
        found = found or sorted({*before.within(less), *after.within(more)})
    return found


def _changed(
    base: Side, head: Side, gone: Iterable[Resource], new: Sequence[Resource]
) -> Iterator[Move]:
    """Pairs resources with data that left a place with similar ones of the same name elsewhere."""
    for before in gone:
        if before.type not in STATEFUL:
            continue
        alike = [
            Move(before, after, [*_different(base, before, head, after)])
            for after in new
            if after.type == before.type and _name(after) == _name(before)
        ]
        if alike:
            yield min(alike, key=lambda move: len(move.changed))


def _different(base: Side, before: Resource, head: Side, after: Resource) -> Iterator[str]:
    for name, *_ in differences(base.properties(before), head.properties(after)):
        yield name
    attributes = before.definition.keys() | after.definition.keys()
    for name in sorted(attributes - {"Properties", "Metadata", "DependsOn"}):
        if before.definition.get(name) != after.definition.get(name):
            yield name


def _deployed(assembly: Assembly) -> Iterator[Resource]:
    return (each for each in assembly.resources if each.type != _METADATA)


def _missing(here: Assembly, there: Assembly) -> list[Resource]:
    """The resources that have no counterpart of their type at their location."""
    present = {(_location(each), each.type) for each in there.resources}
    return [each for each in _deployed(here) if (_location(each), each.type) not in present]


def _grouped(
    prints: _Prints, resources: Iterable[Resource]
) -> Mapping[tuple[str, str], list[Resource]]:
    found: dict[tuple[str, str], list[Resource]] = {}
    for resource in resources:
        found.setdefault((resource.type, prints.of(resource)), []).append(resource)
    return found


def _location(resource: Resource) -> Location:
    return resource.stack_name, resource.logical_id


def _written(resource: Resource) -> str:
    return ".".join(_location(resource))


def _name(resource: Resource) -> str:
    return resource.path.rpartition("/")[2]


def _said(move: Move) -> str:
    return f"`{move.before.path}` → `{move.after.path}` ({move.before.type})"


def _some(paths: Sequence[str]) -> str:
    shown = ", ".join(f"`{path}`" for path in paths[:_MOST_SHOWN])
    return shown + (f" and {len(paths) - _MOST_SHOWN} more" if paths[_MOST_SHOWN:] else "")


def _listed(resources: Iterable[Resource]) -> str:
    return ", ".join(f"`{each.path}`" for each in resources)
