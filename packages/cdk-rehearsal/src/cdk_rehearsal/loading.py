"""Creates all resources of an assembly, each after those that it refers to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cdk_rehearsal.assembly import Assembly, Stack
from cdk_rehearsal.deployment import Deployment
from cdk_rehearsal.errors import RehearsalError, UnsupportedTemplateError
from cdk_rehearsal.intrinsics import Resolver
from cdk_rehearsal.properties import Properties
from cdk_rehearsal.resources.creators import CREATORS
from cdk_rehearsal.resources.registry import WITHOUT_PART, Resource

# What a resource may have beside its properties; deletion and updates are no part of a rehearsal.
_ATTRIBUTES = {
    "Condition",
    "DeletionPolicy",
    "DependsOn",
    "Metadata",
    "Properties",
    "Type",
    "UpdatePolicy",
    "UpdateReplacePolicy",
}


class Loader:
    """Creates the resources of all stacks of an assembly."""

    def __init__(
        self,
        deployment: Deployment,
        assembly: Assembly,
        register: Callable[[Resource], object],
    ) -> None:
        """``register`` is called with each resource as soon as it is created."""
        self._deployment = deployment
        self._core = deployment.core
        self._register = register
        self._stacks = assembly.stacks
        self._resources: dict[tuple[str, str], Resource] = {}
        self._in_progress: list[str] = []
        self._resolvers = {stack.name: self._resolver(stack) for stack in assembly.stacks}

    def load(self) -> list[Resource]:
        """Create everything; return the resources in the order of their creation.

        Raises UnsupportedTemplateError for a type, property or function that is not known.
        """
        for stack in self._stacks:
            for logical_id in stack.template.get("Resources", {}):
                if self._exists(stack, logical_id):
                    self._create(stack, logical_id)
        return list(self._resources.values())

    def _resolver(self, stack: Stack) -> Resolver:
        core = self._core
        for name, ours, theirs in (
            ("account", core.account, stack.account),
            ("region", core.region, stack.region),
        ):
            if theirs is not None and theirs != ours:
                raise RehearsalError(
                    f"stack {stack.name} is for the {name} {theirs}, the rehearsal runs in {ours}: "
                    f"give {name}={theirs!r}"
                )
        return Resolver(
            stack,
            account=core.account,
            region=core.region,
            ref=lambda logical_id: self._create(stack, logical_id).physical_id,
            get_att=lambda logical_id, attribute: self._attribute(stack, logical_id, attribute),
            import_value=self._export,
        )

    def _exists(self, stack: Stack, logical_id: str) -> bool:
        condition = stack.template["Resources"][logical_id].get("Condition")
        return condition is None or self._resolvers[stack.name].condition(condition)

    def _create(self, stack: Stack, logical_id: str) -> Resource:
        key = (stack.name, logical_id)
        if key in self._resources:
            return self._resources[key]
        template = stack.template["Resources"].get(logical_id)
        if template is None:
            raise UnsupportedTemplateError(
                f"stack {stack.name}: something refers to {logical_id}, which is no resource"
            )
        kind = template["Type"]
        where = f"stack {stack.name}, {logical_id} ({kind})"
        if where in self._in_progress:
            circle = " -> ".join([*self._in_progress[self._in_progress.index(where) :], where])
            raise RehearsalError(f"resources depend on each other: {circle}")
        unknown = set(template) - _ATTRIBUTES
        if unknown:
            raise UnsupportedTemplateError(f"{where}: unknown attribute {', '.join(unknown)}")
        self._in_progress.append(where)
        try:
            resource = self._make(stack, logical_id, template, where)
        finally:
            self._in_progress.pop()
        self._resources[key] = resource
        self._register(resource)
        return resource

    def _make(
        self, stack: Stack, logical_id: str, template: dict[str, Any], where: str
    ) -> Resource:
        kind = template["Type"]
        resource = Resource(stack.name, logical_id, stack.path_of(logical_id), kind)
        if kind in WITHOUT_PART:
            resource.physical_id = resource.generated_name(128)
            return resource
        creator = CREATORS.get(kind)
        if creator is None:
            raise UnsupportedTemplateError(
                f"{where}: unknown resource type; write a creator for it in "
                "cdk_rehearsal/resources, or list it there as without part in delivery"
            )
        depends = template.get("DependsOn", [])
        for name in [depends] if isinstance(depends, str) else depends:
            if self._exists(stack, name):
                self._create(stack, name)
        resolved = self._resolvers[stack.name].resolve(template.get("Properties", {}), where)
        resource.properties = resolved
        properties = Properties(resolved, where)
        try:
            creator(self._deployment, resource, properties)
        except RehearsalError as error:
            if where in str(error):
                raise
            raise type(error)(f"{where}: {error}") from error
        except Exception as error:
            raise RehearsalError(f"{where} cannot be created: {error}") from error
        properties.finish()
        return resource

    def _attribute(self, stack: Stack, logical_id: str, attribute: str) -> Any:
        resource = self._create(stack, logical_id)
        if attribute in resource.attributes:
            return resource.attributes[attribute]
        if resource.type in WITHOUT_PART and attribute == "Arn":
            service = resource.type.split("::")[1].lower()
            return (
                f"arn:aws:{service}:{self._core.region}:{self._core.account}:{resource.physical_id}"
            )
        raise UnsupportedTemplateError(
            f"stack {stack.name}, {logical_id} ({resource.type}): unknown attribute {attribute} "
            "in Fn::GetAtt"
        )

    def _export(self, name: str) -> Any:
        for stack in self._stacks:
            resolver = self._resolvers[stack.name]
            for key, output in stack.template.get("Outputs", {}).items():
                export = output.get("Export")
                where = f"output {key}"
                if export is not None and resolver.resolve(export["Name"], where) == name:
                    return resolver.resolve(output["Value"], where)
        raise RehearsalError(f"no stack of the assembly exports {name}; synthesize all of them")
