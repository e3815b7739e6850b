"""Converts the list of a deleted stack's retained resources to the format of `cdk import`.

    aws cloudformation list-stack-resources --stack-name ID_OF_THE_DELETED_STACK --output json |
        python -m cdk_rehearsal.topology.imports cdk.out Storage > import.json
    cdk import --app cdk.out Storage --resource-mapping import.json

An import can create a stack only from existing resources. A resource that refers to another one, or
has a part of the stack's id in its name, is left out and reported on standard error.
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/resource-import.html
"""

import argparse
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cdk_rehearsal.assembly import Assembly, Resource
from cdk_rehearsal.topology.replacements import schema
from cdk_rehearsal.topology.retention import dependencies, is_name

Mapped = dict[str, dict[str, str]]


def mapping(
    assembly: Assembly, stack: str, summaries: Iterable[Mapping[str, Any]]
) -> tuple[Mapped, list[str]]:
    """Returns identifiers of the resources to import, by logical id, and reasons for the others.

    `summaries` are the StackResourceSummaries of ListStackResources. Raises LookupError if the
    assembly has no such stack.
    """
    if stack not in assembly.templates:
        raise LookupError(f"no stack {stack}: choose one of {', '.join(assembly.templates)}")
    mapped: Mapped = {}
    left = []
    for summary in summaries:
        if summary["ResourceStatus"] != "DELETE_SKIPPED":
            continue
        logical_id, physical_id = summary["LogicalResourceId"], summary["PhysicalResourceId"]
        resource = assembly.identified(stack, logical_id)
        why = _why_not(assembly, resource)
        if resource is None or why:
            left.append(f"{logical_id} ({physical_id}): {why}")
        else:
            (name,) = _identifier(resource.type)
            mapped[logical_id] = {name: physical_id}
    return mapped, left


def _why_not(assembly: Assembly, resource: Resource | None) -> str:
    if resource is None:
        return "the template has no such resource any more"
    if needed := dependencies(assembly, resource):
        return f"it depends on {', '.join(each.path for each in needed)}"
    if any(is_name(resource.type, name) for name in resource.properties):
        return "its name changes with each creation of the stack"
    if len(_identifier(resource.type)) != 1:
        return "it is a part of another resource"
    return ""


def _identifier(type_: str) -> list[str]:
    """Returns the identifying properties of a type, from CloudFormation's resource schema."""
    pointers: list[str] = schema(type_)["primaryIdentifier"]
    return [pointer.removeprefix("/properties/") for pointer in pointers]


def main() -> None:
    """Reads the list of a deleted stack's resources, and writes the mapping for `cdk import`."""
    parser = argparse.ArgumentParser(prog=__spec__.name, description=main.__doc__)
    parser.add_argument("assembly", type=Path, help="what `cdk synth` wrote, such as cdk.out")
    parser.add_argument("stack", help="the construct path of the stack, such as Storage")
    options = parser.parse_args()
    try:
        summaries = json.load(sys.stdin)["StackResourceSummaries"]
        mapped, left = mapping(Assembly(options.assembly), options.stack, summaries)
    except (LookupError, ValueError) as error:
        sys.exit(f"error: {error}")
    json.dump(mapped, sys.stdout, indent=2)
    for each in left:
        print(f"not imported: {each}", file=sys.stderr)


if __name__ == "__main__":
    main()
