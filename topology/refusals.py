"""What CloudFormation refuses, or undoes, while one version of an application replaces another.

Both versions may be valid, and the deployment between them still fails, or leaves less behind than
the new one describes: stacks are deployed one after the other, and within a stack new resources are
created before old ones are deleted.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from topology.assembly import Assembly, Resource, imports, nodes
from topology.changes import MISSING, Side, Sides
from topology.losses import fate, schema

_EXPORTS = (
    "An export that another stack imports can be neither changed nor removed "
    "(https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/"
    "intrinsic-function-reference-importvalue.html). It takes two deployments. In the first, keep "
    "the old construct and its export (`self.export_value(old.attribute)` in its stack), and let "
    "the others use the new one, or none. In the second, remove the old construct and the call."
)
_IMPORTS = (
    "An export has to be there before another stack imports it, and its name is unique in an "
    "account and region (https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/"
    "intrinsic-function-reference-importvalue.html). Deploy first what exports it, or no longer "
    "does, and in a second deployment what imports it; `importer.add_dependency(exporter)` lets "
    "one deployment do."
)
_NAMES = (
    "CloudFormation creates the new before it deletes the old, and the two cannot have the same "
    "name (https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/"
    "aws-properties-name.html). After a renaming, keep the logical id: "
    "`construct.node.default_child.override_logical_id(old)`. Else give the new one another name; "
    "or remove the old one in a first deployment and add the new one in a second, if nobody needs "
    "it in between."
)
_OVERWRITES = (
    "CloudFormation creates the new before it deletes the old. Both stand for one and the same "
    "setting of the resource that they are about, and it goes with the old one "
    "(https://github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/363). Keep the "
    "logical id: `construct.node.default_child.override_logical_id(old)`."
)
_INDEXES = (
    "One update of a table creates or deletes one index, and cannot change one "
    "(https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateTable.html). Make "
    "one deployment for each: first a new index under a new name, then its readers, then the end "
    "of the old one."
)

_UNIQUE: Mapping[str, tuple[str, ...]] = {
    # https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutRule.html
    "AWS::Events::Rule": ("EventBusName", "Name"),
    # https://docs.aws.amazon.com/eventbridge/latest/schema-reference/v1-registries-name-registryname-schemas-name-schemaname.html
    "AWS::EventSchemas::Schema": ("RegistryName", "SchemaName"),
    # https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/apis-apiid-routes.html
    "AWS::ApiGatewayV2::Route": ("ApiId", "RouteKey"),
    # https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html
    "AWS::Lambda::EventSourceMapping": ("EventSourceArn", "FunctionName"),
}
"""Properties of which no two resources of a type can have the same values, where its description
does not say so."""

_OVERWRITTEN: Mapping[str, tuple[str, ...]] = {
    # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
    "AWS::SQS::QueuePolicy": ("Queues",),
    # https://docs.aws.amazon.com/sns/latest/api/API_SetTopicAttributes.html
    "AWS::SNS::TopicPolicy": ("Topics",),
    # https://docs.aws.amazon.com/sns/latest/api/API_Subscribe.html
    "AWS::SNS::Subscription": ("TopicArn", "Protocol", "Endpoint"),
    # https://docs.aws.amazon.com/IAM/latest/APIReference/API_PutRolePolicy.html
    "AWS::IAM::Policy": ("PolicyName", "Roles"),
}
"""The same of types of which a second one is not refused, but takes over what the first has set, so
that it is lost when the first is deleted."""

_TABLES = ("AWS::DynamoDB::Table", "AWS::DynamoDB::GlobalTable")


@dataclass(frozen=True)
class Refusal:
    """A change that CloudFormation refuses in one deployment."""

    path: str
    """The path of the resource, or the name of the export."""
    what: str
    how: str

    @property
    def advice(self) -> tuple[str, ...]:
        """How to do it in several deployments."""
        return (self.how,)

    def __str__(self) -> str:
        """In words."""
        return f"`{self.path}` {self.what}"


def refusals(sides: Sides) -> list[Refusal]:
    """Everything that is refused when the head is deployed over the base, stack by stack."""
    return [*_in_use(sides), *_unavailable(sides), *_names(sides), *_indexes(sides)]


def _in_use(sides: Sides) -> Iterator[Refusal]:
    """Exports that change or go while another stack imports them: it may be deployed later."""
    base, head = sides.base.assembly, sides.head.assembly
    for stack in base.templates:
        successor = _at(head, _name(base, stack))
        if successor is None:
            continue  # it stays as it is, until somebody deletes it
        exports = head.exports_of(successor)
        for name, value in base.exports_of(stack).items():
            why = _change(sides, stack, value, exports.get(name, MISSING))
            if why is None:
                continue
            bound = [
                f"`{each}`"
                for each in base.templates
                if name in imports(base.templates[each])
                and not _stops_importing(sides, each, name, successor)
            ]
            if bound:
                path = _exported(base, stack, value) or name
                what = (
                    f"{why}: `{stack}` cannot change or remove its export `{name}` while "
                    f"{' and '.join(bound)} {'import' if len(bound) > 1 else 'imports'} it"
                )
                yield Refusal(path, what, _EXPORTS)


def _stops_importing(sides: Sides, importer: str, name: str, exporter: str) -> bool:
    """Whether a stack of the base stops importing before the exporting stack is deployed."""
    head = sides.head.assembly
    now = _at(head, _name(sides.base.assembly, importer))
    if now is None:
        return False
    return name not in imports(head.templates[now]) and _before(head, now, exporter)


def _change(sides: Sides, stack: str, before: Any, after: Any) -> str | None:
    if after == MISSING:
        return "is no longer exported"
    if before != after:
        return "is exported with another value"
    for resource in _referred(sides.base.assembly, stack, before):
        why = fate(sides, resource)
        if why:
            return why
    return None


def _unavailable(sides: Sides) -> Iterator[Refusal]:
    """Exports that are not there yet when a stack imports them, or still belong to another."""
    base, head = sides.base.assembly, sides.head.assembly
    owners = {name: stack for stack in base.templates for name in base.exports_of(stack)}
    for stack in head.templates:
        for name, value in head.exports_of(stack).items():
            path = _exported(head, stack, value) or name
            owner = owners.get(name)
            if owner is None:
                for importer in head.templates:
                    if name in imports(head.templates[importer]) and not _before(
                        head, stack, importer
                    ):
                        what = (
                            f"is exported by `{stack}` as `{name}`, which is not deployed before "
                            f"`{importer}`, which imports it"
                        )
                        yield Refusal(path, what, _IMPORTS)
            elif _name(base, owner) != _name(head, stack):
                left = _at(head, _name(base, owner))
                if left is None or not _before(head, left, stack):
                    what = f"is exported by `{stack}` as `{name}`, as it still is by `{owner}` then"
                    yield Refusal(path, what, _IMPORTS)


def _names(sides: Sides) -> Iterator[Refusal]:
    """Resources that are created while another one has their name."""
    base, head = sides.base.assembly, sides.head.assembly
    taken: dict[_Identity, list[Resource]] = {}
    for resource in base.resources:
        if known := _identity(sides.base, resource):
            taken.setdefault(known, []).append(resource)
    for resource in head.resources:
        identity = _identity(sides.head, resource)
        if identity is None or identity not in taken or _is_renewed(sides, identity):
            continue
        holders = taken[identity]
        own = (holder for holder in holders if _same_place(sides, holder, resource))
        holder = next(own, holders[0])
        if _same_place(sides, holder, resource):
            why = fate(sides, holder)
            if why:
                yield Refusal(resource.path, f"{why}, and keeps {identity}", _NAMES)
        elif _name(base, holder.stack) == _name(head, resource.stack):
            what = f"is created with {identity} while `{holder.path}`"
            if holder.path == resource.path:
                what = f"gets another logical id, and is created with {identity} while the old one"
            how = _OVERWRITES if resource.type in _OVERWRITTEN else _NAMES
            yield Refusal(resource.path, f"{what} still has it", how)
        elif not _is_gone_before(sides, holder, resource):
            what = (
                f"is created by `{_name(head, resource.stack)}` with {identity} while "
                f"`{holder.path}` of `{_name(base, holder.stack)}` still has it"
            )
            yield Refusal(resource.path, what, _NAMES)


@dataclass(frozen=True)
class _Identity:
    type: str
    values: tuple[tuple[str, str], ...]
    """What no other resource of the type may have; of each reference, what it is to."""
    references: frozenset[tuple[str, str]]

    def __str__(self) -> str:
        return f"the {' and '.join(f'{name} {value}' for name, value in self.values)}"


def _identity(side: Side, resource: Resource) -> _Identity | None:
    names = _identifying(resource.type)
    given = [resource.properties.get(name) for name in names]
    if not names or any(value is None for value in given):
        return None
    references = frozenset(
        (each.stack, each.logical_id)
        for value in given
        for each in _referred(side.assembly, resource.stack, value)
    )
    values = tuple(
        (name, str(side.plain(resource.stack, value)))
        for name, value in zip(names, given, strict=True)
    )
    return _Identity(resource.type, values, references)


def _identifying(type_: str) -> Sequence[str]:
    """The properties by which there can be one resource only, if a template sets them.

    CloudFormation's own identifiers of a type, or the property that is its name.
    """
    known = _UNIQUE.get(type_) or _OVERWRITTEN.get(type_)
    if known:
        return known
    names, unset, fixed = (
        [each.removeprefix("/properties/") for each in schema(type_).get(keyword, [])]
        for keyword in ("primaryIdentifier", "readOnlyProperties", "createOnlyProperties")
    )
    if names and not set(unset).intersection(names):
        return names
    kind = type_.rpartition("::")[2]
    return [name for name in ("Name", f"{kind}Name") if name in fixed][:1]


def _is_renewed(sides: Sides, identity: _Identity) -> bool:
    """Whether something that belongs to the identity is itself another one afterwards."""
    found = (sides.base.assembly.identified(*each) for each in identity.references)
    return any(each is None or fate(sides, each) is not None for each in found)


def _same_place(sides: Sides, before: Resource, after: Resource) -> bool:
    return before.logical_id == after.logical_id and _name(
        sides.base.assembly, before.stack
    ) == _name(sides.head.assembly, after.stack)


def _is_gone_before(sides: Sides, holder: Resource, resource: Resource) -> bool:
    head = sides.head.assembly
    left = _at(head, _name(sides.base.assembly, holder.stack))
    kept = str(holder.definition.get("DeletionPolicy", "")).startswith("Retain")
    return left is not None and not kept and _before(head, left, resource.stack)


def _indexes(sides: Sides) -> Iterator[Refusal]:
    """More than one index of a table that comes, goes or changes."""
    base, head = sides.base.assembly, sides.head.assembly
    for before in base.all_of(*_TABLES):
        after = head.identified(before.stack, before.logical_id)
        if after is None or fate(sides, before):
            continue
        old, new = _indexes_of(before), _indexes_of(after)
        moved = sorted(old.keys() ^ new.keys())
        altered = sorted(name for name in old.keys() & new.keys() if old[name] != new[name])
        if len(moved) > 1 or altered:
            said = [
                f"creates or deletes the indexes {', '.join(moved)} at once" if moved[1:] else "",
                f"changes the index {', '.join(altered)}" if altered else "",
            ]
            yield Refusal(after.path, " and ".join(filter(None, said)), _INDEXES)


def _indexes_of(table: Resource) -> dict[str, Any]:
    return {
        index["IndexName"]: (index.get("KeySchema"), index.get("Projection"))
        for index in table.properties.get("GlobalSecondaryIndexes", [])
    }


def _before(assembly: Assembly, first: str, second: str) -> bool:
    """Whether one stack is certain to be deployed before another."""
    return first in assembly.dependencies[second] and second not in assembly.dependencies[first]


def _name(assembly: Assembly, stack: str) -> str:
    """What a stack is called in the account."""
    return assembly.stack_names.get(stack, stack)


def _at(assembly: Assembly, name: str) -> str | None:
    """The stack that is called so in the account."""
    return next((stack for stack in assembly.templates if _name(assembly, stack) == name), None)


def _exported(assembly: Assembly, stack: str, value: Any) -> str | None:
    return next((each.path for each in _referred(assembly, stack, value)), None)


def _referred(assembly: Assembly, stack: str, value: Any) -> Iterator[Resource]:
    """The resources that a value is made of."""
    for node in nodes(value):
        if not isinstance(node, Mapping):
            continue
        found = assembly.find(stack, node)
        if found:
            yield found
        match node.get("Fn::Sub"):
            case str(text) | [str(text), *_]:
                for name in re.findall(r"\$\{([A-Za-z0-9]+)(?:\.[^}]+)?\}", text):
                    named = assembly.identified(stack, name)
                    if named:
                        yield named
