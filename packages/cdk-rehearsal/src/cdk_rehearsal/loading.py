"""Creates all resources of an assembly, each after those that it refers to."""

import json
from collections import Counter
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
from cdk_rehearsal.outside import Outside
from cdk_rehearsal.policies import NOT_IN_ASSEMBLY, condition_keys
from cdk_rehearsal.properties import Properties, unresolved
from cdk_rehearsal.resources.creators import CREATORS, creator_of
from cdk_rehearsal.resources.inactive import attribute as known_attribute
from cdk_rehearsal.resources.inactive import idle
from cdk_rehearsal.resources.registry import WITHOUT_PART, Creator, mentioned
from cdk_rehearsal.services.http_api import unsupported
from cdk_rehearsal.stand_ins import SSM_PARAMETER
from cdk_rehearsal.topology.messaging import parked_by_code
from cdk_rehearsal.topology.template_limits import exceeded

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
"""The parts of a resource's definition."""


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
        self._stand_ins = deployment.stand_ins
        self._outside = Outside(deployment, self._create_outside)
        self._account, self._region = deployment.core.account, deployment.core.region
        self._register = register
        self._assembly = assembly
        self._stacks = {stack.path: stack for stack in assembly.stacks}
        self._resources: dict[tuple[str, str], Resource] = {}
        self._generations = Counter[tuple[str, str]]()
        """How many resources of each logical id there were before."""
        self._in_progress: list[str] = []
        self._problems: list[Unsupported] = []
        self._failed: set[str] = set()
        """Resources that could not be created, or refer to such resources."""
        self._ignored: dict[str, set[str]] = {}
        """Properties without an effect in a rehearsal, by the type of resource."""
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
        self._problems += exceeded(self._assembly, self._deployment.resources)
        if self._problems:
            raise LoadingError(self._problems)
        self._stand_ins.check()
        parked = parked_by_code(self._assembly)
        for queue in self._deployment.queues:
            if queue.path in parked:
                self._deployment.queues.dead_letter_arns.add(queue.arn)
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
            dynamic=self._dynamic,
        )

    def _parameter(self, stack: Stack, name: str) -> Any:
        """The value of a parameter: that of a nested stack is an expression of its parent."""
        definition = stack.template["Parameters"][name]
        full_name = f"{stack.path}/{name}"
        value = stack.parameters.get(name)
        if value is not None and stack.parent is not None:
            value = self._resolvers[stack.parent].resolve(value, f"parameter {full_name}")
        if value is None:
            value = self._stand_ins.value(full_name, name)
        if value is None and "Default" not in definition:
            allowed = definition.get("AllowedValues")
            return self._stand_ins.invented(full_name, definition["Type"], allowed)
        if definition["Type"].startswith(SSM_PARAMETER):
            return self._stored(value or definition["Default"], definition["Type"])
        return value

    def _stored(self, name: str, kind: str = "String") -> Any:
        """The value of a parameter of Systems Manager, from the assembly or from outside it."""
        for known in self._assembly.all_of("AWS::SSM::Parameter"):
            if "Name" in known.properties and known.where not in self._in_progress:
                stack = self._assembly.stack_of(known)
                if self._resolvers[stack.path].resolve(known.properties["Name"], "Name") == name:
                    return self._create(stack, known.logical_id).attributes.get("Value")
        value = self._stand_ins.value(name)
        return self._stand_ins.invented(name, kind) if value is None else value

    def _dynamic(self, reference: str) -> str | None:
        """The value of a dynamic reference: `ssm:NAME`, or `secretsmanager:ID:SecretString:KEY`."""
        given = self._stand_ins.value(reference)
        if given is not None:
            return str(given)
        service, _, rest = reference.partition(":")
        if service != "secretsmanager":
            value = self._stored(rest.partition(":")[0])
            return None if value is None else str(value)
        secret, _, key = rest.partition(":SecretString")
        client = self._deployment.client("secretsmanager")
        try:
            text: str = client.get_secret_value(SecretId=secret)["SecretString"]
        except client.exceptions.ResourceNotFoundException:
            invented = self._stand_ins.invented(reference)
            return None if invented is None else str(invented)
        key = key.lstrip(":").partition(":")[0]
        return str(json.loads(text)[key]) if key else text

    def _exists(self, stack: Stack, logical_id: str) -> bool:
        known = self._assembly.identified(stack.path, logical_id)
        if known is None or "Condition" not in known.definition:
            return True
        found: list[bool] = []
        with self._collecting(known.path, known.where):
            found.append(self._resolvers[stack.path].condition(known.definition["Condition"]))
        return any(found)

    def _create(self, stack: Stack, logical_id: str) -> Resource:
        key = (stack.path, logical_id)
        known = self._resources.get(key) or self._assembly.identified(*key)
        if known is None:
            raise UnsupportedTemplateError(
                f"stack {stack.name}: something refers to {logical_id}, which is no resource"
            )
        where = known.where
        if key not in self._resources:
            if where in self._in_progress:
                circle = " -> ".join([*self._in_progress[self._in_progress.index(where) :], where])
                raise RehearsalError(f"resources depend on each other: {circle}")
            generation = self._generations[key]
            resource = replace(known, properties={}, attributes={}, generation=generation)
            # It has a name for those that refer to it, even if it cannot be created.
            resource.physical_id = resource.generated_name(128)
            self._in_progress.append(where)
            try:
                with self._collecting(known.path, where):
                    self._make(stack, resource, where)
            finally:
                self._in_progress.pop()
            self._resources[key] = resource
            self._register(resource)
        if where in self._failed:
            self._failed.update(self._in_progress[-1:])
        return self._resources[key]

    def _make(self, stack: Stack, resource: Resource, where: str) -> None:
        for name in sorted(set(resource.definition) - _ATTRIBUTES):
            self._report(resource.path, where, f"unknown attribute {name}: remove it")
        if nested := self._assembly.nested(resource):
            resource.physical_id = nested.arn(self._account, self._region)
            return
        if resource.type in WITHOUT_PART:
            return
        creator = creator_of(resource, self._assembly)
        if creator is None:
            if self._is_idle(resource):
                return
            raise UnsupportedTemplateError(
                "the template of this nested stack is not in the assembly: synthesize it again"
                if resource.type == NESTED_STACK
                else "unknown resource type; write a creator for it in cdk_rehearsal/resources, or "
                "list it there as without part in delivery"
            )
        for name in listed(resource.definition.get("DependsOn")):
            if self._exists(stack, name):
                self._create(stack, name)
        self._resolve_into(resource, stack)
        with self._collecting(resource.path, where):
            self._ensure_targets(resource)
        self._state_keys(resource, where)
        self._call(creator, resource, where)

    def _resolve_into(self, resource: Resource, stack: Stack) -> None:
        """Gives a resource its properties, with all functions in them resolved."""
        where_in_stack = f"{resource.logical_id} ({resource.type})"
        for name, value in resource.definition.get("Properties", {}).items():
            resource.properties[name] = unresolved(name)
            with self._collecting(resource.path, resource.where, always=True):
                items = self._resolvers[stack.path].resolve([value], where_in_stack)
                del resource.properties[name]
                if items:  # Its value is not AWS::NoValue.
                    (resource.properties[name],) = items
        with self._collecting(resource.path, resource.where):
            policy = resource.definition.get("UpdatePolicy", {})
            resource.update_policy = self._resolvers[stack.path].resolve(policy, where_in_stack)

    def _state_keys(self, resource: Resource, where: str) -> None:
        """Takes the values of condition keys that are not in the assembly."""
        for key in sorted(condition_keys(resource.properties)):
            if key.lower() not in NOT_IN_ASSEMBLY:
                continue
            value = self._stand_ins.value(key)
            if value:
                self._deployment.core.access.stated[key.lower()] = str(value)
            elif value is None and self._stand_ins.invents:
                self._stand_ins.note(key, "no request has this condition key")
            elif value is None:
                self._report(
                    resource.path,
                    where,
                    f"a condition has the key {key}, whose value is not in the assembly: give it "
                    f"as values[{key!r}], or an empty text if requests do not have it",
                )

    def _is_idle(self, resource: Resource) -> bool:
        """Whether a resource may do nothing, because stand-ins are invented."""
        says = idle(resource)
        if says and self._stand_ins.invents:
            self._stand_ins.note(resource.path, f"{resource.type}: {says}")
        return bool(says) and self._stand_ins.invents

    # -- resources outside the assembly ---------------------------------------------------

    def _ensure_targets(self, resource: Resource) -> None:
        """Creates what a resource names by ARN: a later resource, or a stand-in for one outside."""
        for arn in self._outside.missing(resource):
            kind, property_ = self._outside.kind(arn)
            name = self._outside.name(arn)
            for known in self._assembly.all_of(kind):
                stack = self._assembly.stack_of(known)
                given = known.properties.get(property_)
                if (
                    given is not None
                    and self._stacks.get(stack.path) is stack
                    and known.where not in self._in_progress
                    and (stack.path, known.logical_id) not in self._resources
                    and self._exists(stack, known.logical_id)
                    and self._resolvers[stack.path].resolve(given, property_) == name
                ):
                    self._create(stack, known.logical_id)
                    break
            else:
                self._outside.stand_in(arn)

    def _create_outside(self, resource: Resource) -> None:
        self._call(CREATORS[resource.type], resource, resource.where)
        self._resources[resource.stack, resource.logical_id] = resource
        self._register(resource)

    def _call(self, creator: Creator, resource: Resource, where: str) -> None:
        properties = Properties(resource.properties, where)
        known = mentioned(creator)
        with self._collecting(resource.path, where):
            try:
                creator(self._deployment, resource, properties)
                known = frozenset()
                self._ignored.setdefault(resource.type, set()).update(properties.ignored)
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
        created = resource.type in CREATORS and where not in self._failed
        kind = None if created else known_attribute(resource.type, attribute)
        if where in self._failed or kind:
            if kind == "array":
                return [f"{resource.physical_id}-{attribute}"]
            if kind == "integer":
                return 0
            if not attribute.endswith("Arn"):
                return f"{resource.physical_id}-{attribute}"
            service = resource.type.split("::")[1].lower()
            arn = f"arn:aws:{service}:{self._region}:{self._account}:{resource.physical_id}"
            self._deployment.core.name(resource.path, arn)
            return arn
        if self._is_idle(resource):
            return self._stand_ins.invented(f"{resource.path}.{attribute}")
        raise UnsupportedTemplateError(f"{where}: unknown attribute {attribute} in Fn::GetAtt")

    def _export(self, name: str) -> Any:
        for stack in self._stacks.values():
            resolver = self._resolvers[stack.path]
            for key, output in stack.template.get("Outputs", {}).items():
                export = output.get("Export")
                where = f"output {key}"
                if export is not None and resolver.resolve(export["Name"], where) == name:
                    return resolver.resolve(output["Value"], where)
        value = self._stand_ins.value(name)
        value = self._stand_ins.invented(name) if value is None else value
        if value is None:
            raise RehearsalError(
                f"no stack of the assembly exports {name}; synthesize all of them, or give its "
                f"value as values[{name!r}]"
            )
        return value
