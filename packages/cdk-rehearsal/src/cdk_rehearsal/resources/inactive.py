"""Resources of which a rehearsal creates nothing but a name, and the attributes of types."""

from collections.abc import Mapping
from typing import Any

from cdk_rehearsal.assembly import Resource
from cdk_rehearsal.kinds import STAND_IN_TYPES
from cdk_rehearsal.topology.replacements import schema


def idle(resource: Resource) -> str:
    """Returns what a resource does not do in a rehearsal with stand-ins; empty if it may not idle.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-custom-resources.html
    """
    if resource.type.startswith(("Custom::", "AWS::CloudFormation::CustomResource")):
        return "its function is not called"
    return STAND_IN_TYPES.get(resource.type, "")


def properties_of(type_: str) -> frozenset[str]:
    """Returns the properties of a type that a template can set."""
    described = schema(type_)
    attributes = (_names(each) for each in described.get("readOnlyProperties", []))
    read_only = {names[0] for names in attributes if len(names) == 1}
    return frozenset(described.get("properties", {})) - read_only


def attribute(type_: str, name: str) -> str | None:
    """Returns the kind of a type's attribute, such as `string`; None if it has no such one.

    A custom resource may have any.
    """
    described = schema(type_)
    if not described:
        return "string"
    if name not in {".".join(_names(each)) for each in described.get("readOnlyProperties", [])}:
        return None
    node: Mapping[str, Any] = described
    for part in name.split("."):
        node = node.get("properties", {}).get(part, {})
        if reference := node.get("$ref"):
            node = described.get("definitions", {}).get(reference.rpartition("/")[2], {})
    kind = node.get("type", "string")
    return kind if isinstance(kind, str) else "string"


def _names(pointer: str) -> list[str]:
    return pointer.removeprefix("/properties/").split("/")
