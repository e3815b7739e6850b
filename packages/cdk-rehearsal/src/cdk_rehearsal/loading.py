"""Creates all resources of an assembly, each after those that it refers to."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from cdk_rehearsal.assembly import NESTED_STACK, Assembly, Resource, Stack, listed
from cdk_rehearsal.deployment import Deployment
from cdk_rehearsal.errors import (
    LoadingError,
    RehearsalError,
    Unsupported,
    UnsupportedTemplateError,
)
from cdk_rehearsal.intrinsics import Resolver
from cdk_rehearsal.properties import Properties, unresolved
from cdk_rehearsal.resources.creators import CREATORS
from cdk_rehearsal.resources.registry import WITHOUT_PART, Creator, mentioned
from cdk_rehearsal.services.http_api import unsupported

_SECTIONS = {
    "AWSTemplateFormatVersion",
    "Conditions",
    "Description",
    "Mappings",
    "Metadata",
    "Outputs",
    "Parameters",
    "Resources",
    "Rules",
}
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
"""The parts of a resource's definition; a rehearsal neither updates nor deletes resources."""


class Loader:
    """Creates the resources of all stacks of an assembly."""

    def __init__(
        self,
        deployment: Deployment,
        assembly: Assembly,
        register: Callable[[Resource], object],
    ) -> None:
        """``register`` is called with each resource as soon as it is created, or has failed."""
        self._deployment = deployment
        self._account, self._region = deployment.core.account, deployment.core.region
        self._register = register
        self._assembly = assembly
        self._stacks = {stack.path: stack for stack in assembly.stacks}
        self._resources: dict[tuple[str, str], Resource] = {}
        self._in_progress: list[str] = []
        self._problems: list[Unsupported] = []
        self._failed: set[str] = set()
        """Resources that could not be created, or refer to such resources."""
        self._resolvers = {stack.path: self._resolver(stack) for stack in assembly.stacks}

    def load(self) -> list[Resource]:
        """Creates everything, and returns the resources in the order of their creation.

        Raises LoadingError with all types, properties and functions that are not known.
        """
        for stack in self._stacks.values():
            self._check(stack)
            for logical_id in stack.template.get("Resources", {}):
                if self._exists(stack, logical_id):
                    self._create(stack, logical_id)
        self._problems += unsupported(list(self._resources.values()))
        for resource, check in self._deployment.checks:
            with self._collecting(resource.path, resource.where):
                check()
        if self._problems:
            raise LoadingError(self._problems)
        return list(self._resources.values())

    def outputs(self, stack: Stack) -> dict[str, Any]:
        """Returns the values of a stack's outputs."""
        resolver = self._resolvers[stack.path]
        return {
            key: resolver.resolve(output["Value"], f"output {key}")
            for key, output in stack.template.get("Outputs", {}).items()
            if "Condition" not in output or resolver.condition(output["Condition"])
        }

    def _check(self, stack: Stack) -> None:
        where = f"stack {stack.name}"
        for section in sorted(set(stack.template) - _SECTIONS):
            self._report(
                stack.path, where, f"unknown section of the template: {section}: remove it"
            )
        for name, ours, theirs in (
            ("account", self._account, stack.account),
            ("region", self._region, stack.region),
        ):
            if theirs not in (None, ours):
                problem = (
                    f"it is for the {name} {theirs}, the rehearsal runs in {ours}: "
                    f"give {name}={theirs!r}"
                )
                self._report(stack.path, where, problem)

    def _resolver(self, stack: Stack) -> Resolver:
        return Resolver(
            stack,
            account=self._account,
            region=self._region,
            ref=lambda logical_id: self._create(stack, logical_id).physical_id,
            get_att=lambda logical_id, attribute: self._attribute(stack, logical_id, attribute),
            import_value=self._export,
            parameter=lambda name: self._parameter(stack, name),
            stored=self._stored,
        )

    def _stored(self, name: str) -> str | None:
        """The value of a parameter of Systems Manager that is created already."""
        found = self._deployment.client("ssm").get_parameters(Names=[name])["Parameters"]
        return str(found[0]["Value"]) if found else None

    def _parameter(self, stack: Stack, name: str) -> Any:
        """The value of a parameter: that of a nested stack is an expression of its parent."""
        value = stack.parameters.get(name)
        if stack.parent is None or value is None:
            return value
        return self._resolvers[stack.parent].resolve(value, f"parameter {name} of {stack.path}")

    def _exists(self, stack: Stack, logical_id: str) -> bool:
        known = self._assembly.identified(stack.path, logical_id)
        if known is None or "Condition" not in known.definition:
            return True
        found: list[bool] = []
        with self._collecting(known.path, known.where):
            found.append(self._resolvers[stack.path].condition(known.definition["Condition"]))
        return any(found)

    def _create(self, stack: Stack, logical_id: str) -> Resource:
        known = self._assembly.identified(stack.path, logical_id)
        if known is None:
            raise UnsupportedTemplateError(
                f"stack {stack.name}: something refers to {logical_id}, which is no resource"
            )
        key, where = (stack.path, logical_id), known.where
        if key not in self._resources:
            if where in self._in_progress:
                circle = " -> ".join([*self._in_progress[self._in_progress.index(where) :], where])
                raise RehearsalError(f"resources depend on each other: {circle}")
            resource = replace(known, properties={}, attributes={})
            # It has a name for those that refer to it, even if it cannot be created.
            resource.physical_id = resource.generated_name(128)
            self._in_progress.append(where)
            try:
                with self._collecting(known.path, where):
                    self._make(stack, resource, known.properties, where)
            finally:
                self._in_progress.pop()
            self._resources[key] = resource
            self._register(resource)
        if where in self._failed:
            self._failed.update(self._in_progress[-1:])
        return self._resources[key]

    def _make(self, stack: Stack, resource: Resource, raw: dict[str, Any], where: str) -> None:
        for name in sorted(set(resource.definition) - _ATTRIBUTES):
            self._report(resource.path, where, f"unknown attribute {name}: remove it")
        if nested := self._assembly.nested(resource):
            resource.physical_id = (
                f"arn:aws:cloudformation:{self._region}:{self._account}:stack/{nested.name}/0"
            )
            return
        if resource.type in WITHOUT_PART:
            return
        creator = CREATORS.get(resource.type)
        if creator is None:
            raise UnsupportedTemplateError(
                "the template of this nested stack is not in the assembly: synthesize it again"
                if resource.type == NESTED_STACK
                else "unknown resource type; write a creator for it in cdk_rehearsal/resources, or "
                "list it there as without part in delivery"
            )
        for name in listed(resource.definition.get("DependsOn")):
            if self._exists(stack, name):
                self._create(stack, name)
        for name, value in raw.items():
            resource.properties[name] = unresolved(name)
            with self._collecting(resource.path, where, always=True):
                where_in_stack = f"{resource.logical_id} ({resource.type})"
                items = self._resolvers[stack.path].resolve([value], where_in_stack)
                del resource.properties[name]
                if items:  # Its value is not AWS::NoValue.
                    (resource.properties[name],) = items
        self._call(creator, resource, where)

    def _call(self, creator: Creator, resource: Resource, where: str) -> None:
        properties = Properties(resource.properties, where)
        known = mentioned(creator)
        with self._collecting(resource.path, where):
            try:
                creator(self._deployment, resource, properties)
                known = frozenset()
            finally:
                for problem in properties.problems:
                    self._report(resource.path, where, problem)
        # A creator that raises has not read all of the properties that it knows.
        for problem in properties.unknown(known):
            self._report(resource.path, where, problem)

    @contextmanager
    def _collecting(self, path: str, where: str, *, always: bool = False) -> Iterator[None]:
        """Keeps an error, unless it may be a mere consequence of another problem."""
        try:
            yield
        except Exception as error:  # noqa: BLE001  # moto and boto3 raise many kinds.
            known = isinstance(error, RehearsalError)
            if always or where not in self._failed or isinstance(error, UnsupportedTemplateError):
                self._report(path, where, str(error) if known else f"cannot be created: {error}")

    def _report(self, path: str, where: str, problem: str) -> None:
        self._failed.add(where)
        for said in (where, where.partition(",")[0]):
            problem = problem.removeprefix(f"{said}: ")
        self._problems.append(Unsupported(path, where, problem))

    def _attribute(self, stack: Stack, logical_id: str, attribute: str) -> Any:
        resource = self._create(stack, logical_id)
        nested = self._assembly.nested(resource)
        if nested and attribute.startswith("Outputs."):
            name = attribute.removeprefix("Outputs.")
            output = nested.template.get("Outputs", {}).get(name)
            if output:
                return self._resolvers[nested.path].resolve(output["Value"], f"output {name}")
        if attribute in resource.attributes:
            return resource.attributes[attribute]
        where = resource.where
        if where in self._failed or (resource.type in WITHOUT_PART and attribute == "Arn"):
            service = resource.type.split("::")[1].lower()
            return f"arn:aws:{service}:{self._region}:{self._account}:{resource.physical_id}"
        raise UnsupportedTemplateError(f"{where}: unknown attribute {attribute} in Fn::GetAtt")

    def _export(self, name: str) -> Any:
        for stack in self._stacks.values():
            resolver = self._resolvers[stack.path]
            for key, output in stack.template.get("Outputs", {}).items():
                export = output.get("Export")
                where = f"output {key}"
                if export is not None and resolver.resolve(export["Name"], where) == name:
                    return resolver.resolve(output["Value"], where)
        raise RehearsalError(f"no stack of the assembly exports {name}; synthesize all of them")
