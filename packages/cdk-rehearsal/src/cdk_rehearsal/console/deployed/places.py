"""Where the resources of an assembly are in an account: their physical ids."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property

from cdk_rehearsal.assembly import NESTED_STACK, Assembly, Resource
from cdk_rehearsal.console.deployed.account import Account, CallFailed

_LIST = "list_stack_resources"
_ARN = re.compile(
    r"arn:[^:]+:(?P<service>[^:]+):[^:]*:[^:]*:(?:(?:table|stream)/|function:)?(?P<name>[^:/]+)"
)
_SERVICES = {
    "AWS::DynamoDB::GlobalTable": "dynamodb",
    "AWS::DynamoDB::Table": "dynamodb",
    "AWS::Kinesis::Stream": "kinesis",
    "AWS::Lambda::Function": "lambda",
    "AWS::SQS::Queue": "sqs",
}
"""Types whose ARNs have the physical id, or its last part, as their name."""


class Places:
    """The physical ids of the resources of an assembly, as CloudFormation knows them."""

    def __init__(self, account: Account, assembly: Assembly) -> None:
        """Asks CloudFormation. Raises CallFailed if no stack of the assembly is deployed."""
        self.assembly = assembly
        self._ids: dict[Resource, str] = {}
        names = {stack.path: stack.name for stack in assembly.stacks if not stack.parent}
        missing = []
        for path, name in names.items():
            try:
                self._locate(account, path, name)
            except CallFailed as error:
                if "does not exist" not in str(error):
                    raise
                missing.append(name)
        if missing and len(missing) == len(names):
            raise CallFailed(
                f"none of the stacks is in account {account.id}, region {account.region}: "
                f"{', '.join(missing)}: deploy them, or choose another profile or region"
            )
        if missing:
            account.note("stacks", f"stacks are not deployed: {', '.join(missing)}")

    def _locate(self, account: Account, path: str, name: str) -> None:
        token: dict[str, str] = {}
        found: dict[str, str] = {}
        while True:
            page = account.require("cloudformation", _LIST, StackName=name, **token)
            for each in page["StackResourceSummaries"]:
                found[each["LogicalResourceId"]] = each.get("PhysicalResourceId", "")
            if not (next_token := page.get("NextToken")):
                break
            token = {"NextToken": next_token}
        for resource in self.assembly.resources:
            if resource.stack != path or not found.get(resource.logical_id):
                continue
            self._ids[resource] = found[resource.logical_id]
            nested = self.assembly.nested(resource) if resource.type == NESTED_STACK else None
            if nested is not None:
                self._locate(account, nested.path, found[resource.logical_id])

    def of(self, *types: str) -> Iterator[tuple[Resource, str]]:
        """Yields the deployed resources of these types, with their physical ids."""
        for resource in self.assembly.all_of(*types):
            if physical_id := self._ids.get(resource):
                yield resource, physical_id

    def id_of(self, resource: Resource | None) -> str | None:
        """Returns the physical id of a resource, or None if it is not deployed."""
        return self._ids.get(resource) if resource is not None else None

    def path_of(self, arn: str) -> str | None:
        """Returns the construct path of a queue, table, stream or function with an ARN."""
        found = _ARN.match(arn)
        return self._paths.get((found["service"], found["name"])) if found else None

    @cached_property
    def _paths(self) -> dict[tuple[str, str], str]:
        """Paths by service and name."""
        return {
            (service, physical_id.rpartition("/")[2]): resource.path
            for type_, service in _SERVICES.items()
            for resource, physical_id in self.of(type_)
        }

    @cached_property
    def queues(self) -> dict[str, str]:
        """The URLs of all queues, by construct path."""
        return {resource.path: url for resource, url in self.of("AWS::SQS::Queue")}
