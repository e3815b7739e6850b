"""Finds changes that CloudFormation refuses or undoes when a new version replaces an old one.

A deployment may fail, or leave something out, even if both versions are valid: stacks are deployed
one after the other, and within a stack new resources are created before old ones are deleted.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cdk_rehearsal.assembly import Assembly, Resource, imports
from cdk_rehearsal.topology.changes import MISSING, Side, Sides
from cdk_rehearsal.topology.replacements import fate, schema

_EXPORTS = (
    "An export that another stack imports can be neither changed nor removed "
    "(https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/"
    "intrinsic-function-reference-importvalue.html). Use two deployments. In the first, keep the "
    "old construct and its export (`self.export_value(old.attribute)` in its stack), and make the "
    "other stacks use the new construct, or none. In the second, remove the old construct and the "
    "call."
)
_IMPORTS = (
    "An export has to exist before another stack imports it, and its name is unique in an "
    "account and region (https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/"
    "intrinsic-function-reference-importvalue.html). Use two deployments: in the first, add the "
    "export, or remove it from its old stack; in the second, add its imports, or its new export. "
    "With `importer.add_dependency(exporter)`, one deployment is enough for a new export."
)
_NAMES = (
    "CloudFormation creates the new resource before it deletes the old one, and the two cannot "
    "have the same name (https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/"
    "aws-properties-name.html). If you renamed a construct, keep its logical id: "
    "`construct.node.default_child.override_logical_id(old)`. Otherwise give the new resource "
    "another name. If nobody needs it in between, you can also remove the old one in a first "
    "deployment and add the new one in a second."
)
_OVERWRITES = (
    "CloudFormation creates the new resource before it deletes the old one. Both are the same "
    "setting of another resource, and deleting the old one deletes the setting "
    "(https://github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/363). Keep the "
    "logical id: `construct.node.default_child.override_logical_id(old)`."
)
_INDEXES = (
    "One update of a table can create or delete one index, and cannot change an index "
    "(https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateTable.html). Use "
    "one deployment for each step: add the index under a new name, move its readers, delete the "
    "old index."
)

_UNIQUE: Mapping[str, tuple[str, ...]] = {
    # https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutRule.html
    "AWS::Events::Rule": ("EventBusName", "Name"),
    # https://docs.aws.amazon.com/eventbridgev2/latest/APIReference/API_CreateSubscriber.html
    "AWS::EventsV2::Subscriber": ("EventBusArn", "Name"),
    # https://docs.aws.amazon.com/eventbridge/latest/schema-reference/v1-registries-name-registryname-schemas-name-schemaname.html
    "AWS::EventSchemas::Schema": ("RegistryName", "SchemaName"),
    # https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/apis-apiid-routes.html
    "AWS::ApiGatewayV2::Route": ("ApiId", "RouteKey"),
    # https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html
    "AWS::Lambda::EventSourceMapping": ("EventSourceArn", "FunctionName"),
    # https://docs.aws.amazon.com/lambda/latest/api/API_CreateAlias.html
    "AWS::Lambda::Alias": ("FunctionName", "Name"),
    # Its state machine, which a template states only by a version.
    "AWS::StepFunctions::StateMachineAlias": (),
}
"""Properties that are unique in combination, for types whose resource schema does not say so."""

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
"""The same for types whose second resource is not refused, but overwrites the setting of the first.
The setting is lost when the first resource is deleted."""

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
        """How to make the change in several deployments."""
        return (self.how,)

    def __str__(self) -> str:
        """One line: the path and the reason."""
        return f"`{self.path}` {self.what}"


def refusals(sides: Sides) -> list[Refusal]:
    """Returns all changes that CloudFormation refuses when the head is deployed over the base."""
    return [*_in_use(sides), *_unavailable(sides), *_names(sides), *_indexes(sides)]


def _in_use(sides: Sides) -> Iterator[Refusal]:
    """Exports that change or disappear while another stack still imports them."""
    base, head = sides.base.assembly, sides.head.assembly
    for stack in base.templates:
        successor = _at(head, _name(base, stack))
        if successor is None:
            continue  # The stack stays unchanged until it is deleted.
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
    """Whether a stack of the base stops importing a name before the exporter is deployed."""
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
    for resource in sides.base.assembly.references(stack, before):
        why = fate(sides, resource)
        if why:
            return why
    return None


def _unavailable(sides: Sides) -> Iterator[Refusal]:
    """Exports that do not exist yet when a stack imports them, or still belong to another stack."""
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
                            f"is exported as `{name}` by `{stack}`, which is not deployed before "
                            f"its importer `{importer}`"
                        )
                        yield Refusal(path, what, _IMPORTS)
            elif _name(base, owner) != _name(head, stack):
                left = _at(head, _name(base, owner))
                if left is None or not _before(head, left, stack):
                    what = f"is exported as `{name}` by `{stack}` while `{owner}` still exports it"
                    yield Refusal(path, what, _IMPORTS)


def _names(sides: Sides) -> Iterator[Refusal]:
    """Resources that are created while another one still has their name."""
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
    """Property values that are unique among resources of the type, with references by path."""
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
        for each in side.assembly.references(resource.stack, value)
    )
    values = tuple(
        (name, str(side.plain(resource.stack, value)))
        for name, value in zip(names, given, strict=True)
    )
    return _Identity(resource.type, values, references)


def _identifying(type_: str) -> Sequence[str]:
    """Returns the properties whose values identify a resource, if a template sets them.

    These are the type's primary identifier in CloudFormation's schema, or its name property.
    """
    known = _UNIQUE.get(type_, _OVERWRITTEN.get(type_))
    if known is not None:
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
    """Whether a resource that the identity refers to is replaced or deleted."""
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
    """Tables of which several indexes are created or deleted, or one is changed."""
    base, head = sides.base.assembly, sides.head.assembly
    for before in base.all_of(*_TABLES):
        after = head.identified(before.stack, before.logical_id)
        if after is None or fate(sides, before):
            continue
        old, new = _indexes_of(before), _indexes_of(after)
        moved = sorted(old.keys() ^ new.keys())
        altered = sorted(name for name in old.keys() & new.keys() if old[name] != new[name])
        if len(moved) > 1 or altered:
            lines = [
                f"creates or deletes the indexes {', '.join(moved)} at once" if moved[1:] else "",
                f"changes the index {', '.join(altered)}" if altered else "",
            ]
            yield Refusal(after.path, " and ".join(filter(None, lines)), _INDEXES)


def _indexes_of(table: Resource) -> dict[str, Any]:
    return {
        index["IndexName"]: (index.get("KeySchema"), index.get("Projection"))
        for index in table.properties.get("GlobalSecondaryIndexes", [])
    }


def _before(assembly: Assembly, first: str, second: str) -> bool:
    """Whether one stack is certain to be deployed before another."""
    return first in assembly.dependencies[second] and second not in assembly.dependencies[first]


def _name(assembly: Assembly, stack: str) -> str:
    """Returns the name of a stack in the account."""
    return assembly.stack_names.get(stack, stack)


def _at(assembly: Assembly, name: str) -> str | None:
    """Returns the stack that has this name in the account, or None."""
    return next((stack for stack in assembly.templates if _name(assembly, stack) == name), None)


def _exported(assembly: Assembly, stack: str, value: Any) -> str | None:
    return next((each.path for each in assembly.references(stack, value)), None)
