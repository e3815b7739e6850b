"""Limits of AWS that a template exceeds, so that its deployment would fail."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cdk_rehearsal.assembly import Assembly, Resource, Stack, listed, texts
from cdk_rehearsal.errors import Unsupported
from cdk_rehearsal.limits import LIMITS, TABLE, Unit, select
from cdk_rehearsal.topology.durability import Severity
from cdk_rehearsal.topology.values import is_function, number, table, tables

_SIZES = {"bytes", "characters"}
_FUNCTION = "AWS::Lambda::Function"
_ROLE = "AWS::IAM::Role"
_TABLES = ("AWS::DynamoDB::Table", "AWS::DynamoDB::GlobalTable")

_Group = list[Resource]
Amounts = Iterator[tuple[Resource, int | None]]
_Measure = Callable[["_Deployed"], Amounts]
MEASURES: dict[str, _Measure] = {}


@dataclass(frozen=True)
class Exceeded(Unsupported):
    """A limit that a template exceeds."""

    limit: str = ""
    """Its name in the table."""
    amount: int = 0

    @property
    def severity(self) -> Severity:
        """High: the deployment fails."""
        return "high"

    @property
    def page(self) -> str:
        """The page of the limit."""
        return TABLE[self.limit].page

    def as_json(self) -> dict[str, Any]:
        """Returns it as JSON has it."""
        return {
            "resource": self.path,
            "where": self.where,
            "severity": self.severity,
            "limit": self.limit,
            "amount": self.amount,
            "most": LIMITS[self.limit],
            "page": self.page,
            "problem": self.problem,
        }


def exceeded(assembly: Assembly, resources: Sequence[Resource] | None = None) -> list[Exceeded]:
    """Returns all limits that an assembly exceeds.

    ``resources`` are those of a deployment, with all functions resolved. Without them, the values
    of functions count only as far as the template has them.
    """
    deployed = _Deployed(assembly, assembly.resources if resources is None else resources)
    found = list(_templates(assembly))
    for name, limit in TABLE.items():
        for property_ in limit.template:
            type_, path = property_.split(" ")
            for resource in deployed.of(type_):
                for value in select(resource.properties, path):
                    found += _over(name, resource, amount(value, limit.unit))
        if limit.counted:
            for resource, count in _counted(deployed, *limit.counted):
                found += _over(name, resource, count)
        if name in MEASURES:
            for resource, measured in MEASURES[name](deployed):
                found += _over(name, resource, measured)
    return found


class _Deployed:
    """The resources of a deployment, by type."""

    def __init__(self, assembly: Assembly, resources: Sequence[Resource]) -> None:
        self.assembly = assembly
        self.all = resources
        self._by_type: dict[str, list[Resource]] = {}
        for resource in resources:
            self._by_type.setdefault(resource.type, []).append(resource)

    def of(self, *types: str) -> Iterator[Resource]:
        for type_ in types:
            yield from self._by_type.get(type_, ())

    def key(self, resource: Resource, reference: Any) -> str:
        """Returns the same text for references to the same resource."""
        found = self.assembly.find(resource.stack, reference)
        return found.where if found else json.dumps(reference, sort_keys=True)

    def referring(self, type_: str, name: str, *types: str) -> Iterator[tuple[Resource, _Group]]:
        """Yields the resources of `types`, each with those of a type whose property names it."""
        groups: dict[str, _Group] = {}
        for resource in self.of(type_):
            for reference in listed(resource.properties.get(name)):
                groups.setdefault(self.key(resource, reference), []).append(resource)
        for target in self.of(*types):
            yield target, [each for key in self.keys(target) for each in groups.get(key, ())]

    def keys(self, resource: Resource) -> set[str]:
        """The keys of all references to a resource."""
        known = (resource.physical_id, resource.attributes.get("Arn"))
        return {resource.where, *(json.dumps(each) for each in known if each)}


def _over(name: str, resource: Resource, measured: int | None) -> Iterator[Exceeded]:
    if measured is not None and measured > LIMITS[name]:
        yield Exceeded(resource.path, resource.where, _says(name, measured), name, measured)


def _says(name: str, measured: int) -> str:
    limit, most = TABLE[name], LIMITS[name]
    unit = "" if limit.unit == "items" else f" {limit.unit}"
    remedy = f"reduce it, or give quotas={{{name!r}: …}} if AWS has raised yours"
    return (
        f"{limit.says}: {measured}{unit}, and AWS accepts at most {most}: "
        f"{remedy if limit.adjustable else 'reduce it'} ({limit.page})"
    )


def amount(value: Any, unit: Unit) -> int | None:
    """Returns how much of a unit a value is; None if that is known only in a deployment."""
    if unit in _SIZES and not isinstance(value, int):
        text = value if isinstance(value, str) else _text(value)
        return len(text) if unit == "characters" else len(text.encode())
    if is_function(value):
        return None
    return len(value) if isinstance(value, Mapping | list) else number(value)


def _text(value: Any) -> str:
    """The JSON of a value, without white space: IAM does not count it."""
    return json.dumps(_known(value), separators=(",", ":"), ensure_ascii=False)


def _known(value: Any) -> Any:
    """Replaces functions by the texts in them."""
    if is_function(value):
        return texts(value)
    if isinstance(value, Mapping):
        return {key: _known(item) for key, item in value.items()}
    return [_known(item) for item in value] if isinstance(value, list) else value


# -- templates --------------------------------------------------------------------------------


def _templates(assembly: Assembly) -> Iterator[Exceeded]:
    for stack in assembly.stacks:
        for name, measured in _sizes(stack):
            if measured > LIMITS[name]:
                where = f"stack {stack.name}"
                yield Exceeded(stack.path, where, _says(name, measured), name, measured)


def _sizes(stack: Stack) -> Iterator[tuple[str, int]]:
    template = stack.template
    read = stack.file != Path() and stack.file.exists()
    yield (
        "cloudformation.template_bytes",
        stack.file.stat().st_size if read else len(json.dumps(template)),
    )
    for section in ("Resources", "Parameters", "Outputs", "Mappings"):
        yield f"cloudformation.{section.lower()}", len(template.get(section, {}))
    for mapping in template.get("Mappings", {}).values():
        yield "cloudformation.mapping_attributes", max(map(len, mapping.values()), default=0)
    description = template.get("Description", "")
    yield "cloudformation.description_bytes", len(description.encode())


# -- resources --------------------------------------------------------------------------------


def _counted(deployed: _Deployed, type_: str, present: str | None, per: str | None) -> Amounts:
    """Yields the last resource of each group, and the size of the group."""
    groups: dict[str, list[Resource]] = {}
    for resource in deployed.of(type_):
        if present is None or resource.properties.get(present):
            value = resource.properties.get(per) if per else None
            groups.setdefault(deployed.key(resource, value), []).append(resource)
    for group in groups.values():
        yield group[-1], len(group)


def _measures(name: str) -> Callable[[_Measure], _Measure]:
    """Registers a function that yields resources and what the limit `name` is about."""

    def register(measure: _Measure) -> _Measure:
        MEASURES[name] = measure
        return measure

    return register


@_measures("dynamodb.projected_attributes")
def _projected(deployed: _Deployed) -> Amounts:
    for resource in deployed.of(*_TABLES):
        indexes = [
            index
            for kind in ("GlobalSecondaryIndexes", "LocalSecondaryIndexes")
            for index in tables(resource.properties.get(kind))
        ]
        projections = [table(index.get("Projection")) for index in indexes]
        yield resource, sum(len(each.get("NonKeyAttributes") or []) for each in projections)


@_measures("events.bus_policy_characters")
def _bus_policies(deployed: _Deployed) -> Amounts:
    buses = deployed.referring(
        "AWS::Events::EventBusPolicy", "EventBusName", "AWS::Events::EventBus"
    )
    for bus, policies in buses:
        statements = [each.properties.get("Statement") for each in policies]
        statements += listed(table(bus.properties.get("Policy")).get("Statement"))
        yield bus, len(_text({"Version": "2012-10-17", "Statement": statements}))


@_measures("iam.inline_policy_characters")
def _inline_policies(deployed: _Deployed) -> Amounts:
    for role, policies in deployed.referring("AWS::IAM::Policy", "Roles", _ROLE):
        stated = [*tables(role.properties.get("Policies")), *(each.properties for each in policies)]
        yield role, sum(len(_text(each.get("PolicyDocument"))) for each in stated)


@_measures("iam.role_policies")
def _role_policies(deployed: _Deployed) -> Amounts:
    for role, policies in deployed.referring("AWS::IAM::ManagedPolicy", "Roles", _ROLE):
        yield role, len(listed(role.properties.get("ManagedPolicyArns"))) + len(policies)


@_measures("lambda.environment_bytes")
def _environments(deployed: _Deployed) -> Amounts:
    for function in deployed.of(_FUNCTION):
        variables = table(table(function.properties.get("Environment")).get("Variables"))
        yield function, len(_text(variables).encode()) if variables else 0


@_measures("lambda.unzipped_bytes")
def _code(deployed: _Deployed) -> Amounts:
    layers = {
        key: layer
        for layer in deployed.of("AWS::Lambda::LayerVersion")
        for key in deployed.keys(layer)
    }
    sizes: dict[str, int] = {}
    for function in deployed.of(_FUNCTION):
        parts = [table(function.properties.get("Code")).get("S3Key")]
        for reference in listed(function.properties.get("Layers")):
            layer = layers.get(deployed.key(function, reference))
            parts.append(table(layer.properties.get("Content")).get("S3Key") if layer else None)
        for part in parts:
            if isinstance(part, str) and part not in sizes:
                sizes[part] = deployed.assembly.asset_size(part)
        yield function, sum(sizes[part] for part in parts if isinstance(part, str))


@_measures("lambda.policy_bytes")
def _function_policies(deployed: _Deployed) -> Amounts:
    permissions = deployed.referring("AWS::Lambda::Permission", "FunctionName", _FUNCTION)
    for function, stated in permissions:
        statements = [_statement(permission) for permission in stated]
        document = {"Version": "2012-10-17", "Id": "default", "Statement": statements}
        yield function, len(_text(document).encode())


def _statement(permission: Resource) -> dict[str, Any]:
    properties = permission.properties
    statement = {
        "Sid": permission.generated_name(100),
        "Effect": "Allow",
        "Principal": {"Service": properties.get("Principal")},
        "Action": properties.get("Action"),
        "Resource": properties.get("FunctionName"),
    }
    if "SourceArn" in properties:
        statement["Condition"] = {"ArnLike": {"AWS:SourceArn": properties["SourceArn"]}}
    return statement


@_measures("lambda.concurrent_executions")
def _reserved(deployed: _Deployed) -> Amounts:
    """What functions reserve, with what has to stay for the others."""
    total = 0
    last: Resource | None = None
    for function in deployed.of(_FUNCTION):
        if reserved := number(function.properties.get("ReservedConcurrentExecutions"), 0):
            total, last = total + reserved, function
    if last is not None:
        yield last, total + LIMITS["lambda.unreserved_executions"]


@_measures("ssm.standard_bytes")
def _parameters(deployed: _Deployed) -> Amounts:
    for parameter in deployed.of("AWS::SSM::Parameter"):
        if parameter.properties.get("Tier", "Standard") == "Standard":
            yield parameter, amount(parameter.properties.get("Value", ""), "bytes")


@_measures("ssm.advanced_bytes")
def _advanced_parameters(deployed: _Deployed) -> Amounts:
    for parameter in deployed.of("AWS::SSM::Parameter"):
        yield parameter, amount(parameter.properties.get("Value", ""), "bytes")


@_measures("tags.per_resource")
def _tags(deployed: _Deployed) -> Amounts:
    for resource in deployed.all:
        yield resource, amount(resource.properties.get("Tags") or [], "items")
