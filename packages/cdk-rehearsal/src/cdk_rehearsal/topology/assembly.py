"""The templates of a cloud assembly, and what in them refers to what."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

Properties = dict[str, Any]
Template = dict[str, Any]

_PLACEHOLDER = re.compile(r"\$\{([^!}][^}]*)\}")
"""What Fn::Sub replaces: `${!Literal}` stays as it is."""


@dataclass(frozen=True)
class Resource:
    """A resource of a synthesized template."""

    stack: str
    logical_id: str
    type: str
    properties: Properties
    definition: Mapping[str, Any]

    @property
    def path(self) -> str:
        """Where the resource stands in the construct tree, as in `Orders/PlaceOrder`."""
        path: str = self.definition.get("Metadata", {}).get("aws:cdk:path", self.logical_id)
        return path.removesuffix("/Resource")

    def __str__(self) -> str:
        """The path: what a failed assertion shows."""
        return self.path


class Assembly:
    """The templates of one stage, read in one pass."""

    def __init__(self, source: Path | Mapping[str, Template]) -> None:
        """Read what `cdk synth` wrote to a directory, or take templates by the names of stacks."""
        self.templates = read(source.glob("*")) if isinstance(source, Path) else dict(source)
        self.directory = source if isinstance(source, Path) else Path()
        self.resources = [
            Resource(stack, logical_id, resource["Type"], resource.get("Properties", {}), resource)
            for stack, template in self.templates.items()
            for logical_id, resource in template.get("Resources", {}).items()
        ]

    def of_type(self, *types: str) -> list[Resource]:
        """All resources of these types. Raises LookupError if there is none: a slip, or no shop."""
        found = self.all_of(*types)
        if not found:
            raise LookupError(f"no {' or '.join(types)} in {', '.join(self.templates)}")
        return found

    def all_of(self, *types: str) -> list[Resource]:
        """All resources of these types, if there are any."""
        return [resource for type_ in types for resource in self._by_type.get(type_, ())]

    def at(self, path: str) -> Resource:
        """The one resource at a path of the construct tree. Raises LookupError if it is not one."""
        found = self._by_path.get(path, [])
        if len(found) != 1:
            raise LookupError(f"{len(found)} resources at {path} in {', '.join(self.templates)}")
        return found[0]

    def queue_at(self, path: str | None) -> Resource | None:
        """The queue at a path, or None if there is something else, or nothing."""
        found = self._by_path.get(path or "", [])
        return next((each for each in found if each.type == "AWS::SQS::Queue"), None)

    def identified(self, stack: str, logical_id: str) -> Resource | None:
        """The resource of a stack with a logical id, or None."""
        return self._by_id.get((stack, logical_id))

    @cached_property
    def stack_names(self) -> dict[str, str]:
        """The names that stacks get in the account, by what they are called in the code."""
        return {
            name: artifact["properties"].get("stackName", name)
            for name, artifact in self._artifacts.items()
        }

    @cached_property
    def _artifacts(self) -> dict[str, Any]:
        """The stacks of the manifest; empty without a manifest."""
        manifest = self.directory / "manifest.json"
        artifacts = json.loads(manifest.read_bytes())["artifacts"] if manifest.is_file() else {}
        return {
            name: artifact
            for name, artifact in artifacts.items()
            if artifact["type"] == "aws:cloudformation:stack"
        }

    @cached_property
    def dependencies(self) -> dict[str, set[str]]:
        """For each stack, the stacks on which it depends, directly or indirectly.

        They are deployed before it.
        """
        direct = {stack: set[str]() for stack in self.templates}
        for stack, template in self.templates.items():
            imported = imports(template) & self.exports.keys()
            direct[stack] |= {self.exports[name][0] for name in imported}
            named = self._artifacts.get(stack, {}).get("dependencies", ())
            direct[stack] |= self.templates.keys() & named
        found: dict[str, set[str]] = {}
        for stack in self.templates:
            found[stack] = set()
            waiting = [stack]
            while waiting:
                further = direct[waiting.pop()] - found[stack]
                found[stack] |= further
                waiting += further
        return found

    def exports_of(self, stack: str) -> dict[str, Any]:
        """Return the values that a stack exports, by export name."""
        return {name: value for name, (by, value) in self.exports.items() if by == stack}

    def referred(self, stack: str, value: Any) -> Resource:
        """The resource that a reference (Ref, Fn::GetAtt or an import of one) is about.

        An ARN that ends in a reference is one, too. Raises LookupError if `value` is no reference,
        or one to nothing that is here.
        """
        match value:
            case {"Ref": logical_id} | {"Fn::GetAtt": [logical_id, _]}:
                return self._by_id[stack, logical_id]
            case {"Fn::ImportValue": str(name)}:
                exporter, exported = self.exports[name]
                return self.referred(exporter, exported)
            case {"Fn::Join": ["", ["arn:", *_, {"Ref": _} as name]]}:
                return self.referred(stack, name)
        raise LookupError(f"{value} in {stack} is no reference")

    def find(self, stack: str, value: Any) -> Resource | None:
        """The resource that `value` refers to, or None if that is none of the assembly."""
        try:
            return self.referred(stack, value)
        except LookupError:
            return None

    def references(self, stack: str, value: Any) -> Iterator[Resource]:
        """Yield the resources that a value refers to, anywhere in it, and through imports."""
        for name in named(value):
            if target := self.identified(stack, name):
                yield target
        for node in nodes(value):
            match node:
                case {"Fn::ImportValue": str(name)} if name in self.exports:
                    yield from self.references(*self.exports[name])

    def refers(self, stack: str, value: Any) -> bool:
        """Whether `value` is a reference to a resource of the assembly."""
        return self.find(stack, value) is not None

    def definition(self, machine: Resource) -> dict[str, Any]:
        """What a state machine does; each reference is the path of its resource."""
        parts = machine.properties["DefinitionString"]["Fn::Join"][1]
        text = "".join(
            part if isinstance(part, str) else self._named(machine.stack, part) for part in parts
        )
        definition: dict[str, Any] = json.loads(text)
        return definition

    def _named(self, stack: str, reference: Any) -> str:
        if reference == {"Ref": "AWS::Partition"}:
            return "aws"
        return self.referred(stack, reference).path

    @cached_property
    def _by_path(self) -> dict[str, list[Resource]]:
        found: dict[str, list[Resource]] = {}
        for resource in self.resources:
            found.setdefault(resource.path, []).append(resource)
        return found

    @cached_property
    def _by_type(self) -> dict[str, list[Resource]]:
        found: dict[str, list[Resource]] = {}
        for resource in self.resources:
            found.setdefault(resource.type, []).append(resource)
        return found

    @cached_property
    def _by_id(self) -> dict[tuple[str, str], Resource]:
        return {(resource.stack, resource.logical_id): resource for resource in self.resources}

    @cached_property
    def exports(self) -> dict[str, tuple[str, Any]]:
        """The exporting stack and the value of each export, by export name."""
        return {
            output["Export"]["Name"]: (stack, output["Value"])
            for stack, template in self.templates.items()
            for output in template.get("Outputs", {}).values()
            if "Export" in output
        }


def read(paths: Iterable[Path]) -> dict[str, Template]:
    """The templates among these files, by the names of their stacks."""
    return {
        path.name.partition(".")[0]: json.loads(path.read_bytes())
        for path in sorted(paths)
        if path.name.endswith(".template.json")
    }


def imports(template: Template) -> set[str]:
    """The names of the exports that a template imports."""
    return {
        node["Fn::ImportValue"]
        for node in nodes(template)
        if isinstance(node, Mapping) and isinstance(node.get("Fn::ImportValue"), str)
    }


def nodes(value: Any) -> Iterator[Any]:
    """`value` and everything in it."""
    yield value
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from nodes(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from nodes(inner)


def listed(value: Any) -> list[Any]:
    """`value` as a list, as policies mean it: one alone may stand without brackets."""
    return value if isinstance(value, list) else [value]


def texts(value: Any) -> str:
    """All that is written in a value, as in an ARN; of each reference, what it says."""
    return "".join(node for node in nodes(value) if isinstance(node, str))


def named(value: Any) -> Iterator[str]:
    """Yield the logical ids and pseudo parameters that a value refers to."""
    for node in nodes(value):
        match node:
            case {"Ref": str(name)} | {"Fn::GetAtt": [str(name), *_]}:
                yield name
            case {"Fn::GetAtt": str(dotted)}:
                yield dotted.partition(".")[0]
            case {"Fn::Sub": str(text)} | {"Fn::Sub": [str(text), *_]}:
                yield from (name.partition(".")[0] for name in _PLACEHOLDER.findall(text))
