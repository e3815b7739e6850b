"""Updates stacks of a running application, one at a time, as CloudFormation does."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from cdk_rehearsal.assembly import Assembly, Resource, Stack, imports, listed
from cdk_rehearsal.errors import LoadingError, RehearsalError, UnsupportedTemplateError
from cdk_rehearsal.loading import Loader
from cdk_rehearsal.properties import Properties
from cdk_rehearsal.resources import updating as _updating  # noqa: F401, it registers
from cdk_rehearsal.resources.registry import (
    DELETERS,
    UPDATERS,
    WITHOUT_PART,
    Release,
)
from cdk_rehearsal.services.http_api import unsupported

_KEPT = ("Retain", "RetainExceptOnCreate")
_Key = tuple[str, str]


class UpdateRefused(RehearsalError):
    """CloudFormation refuses an update, or rolls it back."""


class Updater(Loader):
    """Creates the resources of an assembly, and updates them to those of other assemblies."""

    def __init__(self, *given: Any) -> None:
        """Takes what `Loader` takes."""
        super().__init__(*given)
        self._pending: dict[_Key, Resource] = {}
        """Present resources that are still to be updated, in their new versions."""
        self._release = Release()
        self._touched: list[Resource] = []

    def update(self, path: str, assembly: Assembly, release: Release) -> list[Resource]:
        """Updates a stack to its version in an assembly, or creates it.

        Returns the resources that are created, changed or deleted. Raises UpdateRefused for what
        CloudFormation refuses, and LoadingError for what cannot be rehearsed: the application is
        not to be used after that.
        """
        stack = next((each for each in assembly.stacks if each.path == path), None)
        if stack is None:
            known = ", ".join(each.path for each in assembly.stacks)
            raise RehearsalError(f"{assembly.directory} has no stack {path}: name one of {known}")
        if nested := [each.path for each in assembly.stacks if each.parent == path]:
            raise RehearsalError(f"the rehearsal updates no nested stacks: {', '.join(nested)}")
        former = self._stacks.get(path)
        self._require_imports(stack)
        exported = self._in_use(former) if former else {}
        self._require_exports(stack, exported)
        self._assembly = self._deployment.assembly = assembly
        self._release = release
        self._stacks[path], self._resolvers[path] = stack, self._resolver(stack)
        self._problems.clear()
        self._touched = []
        self._apply(stack)
        self._check_values(stack, exported)
        return self._touched

    def stack(self, path: str) -> Stack:
        """Returns a stack as it is deployed."""
        return self._stacks[path]

    # -- exports --------------------------------------------------------------------------

    def _require_imports(self, stack: Stack) -> None:
        """Raises UpdateRefused if a stack imports what no deployed stack exports.

        https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference-importvalue.html
        """
        present = {name for each in self._stacks.values() for name in _exports(each)}
        if missing := sorted(imports(stack.template) - present):
            raise UpdateRefused(
                f"stack {stack.name} imports {', '.join(missing)}, which no deployed stack "
                "exports: deploy the exporting stack first"
            )

    def _in_use(self, stack: Stack) -> dict[str, tuple[Any, list[str]]]:
        """Returns the values of a stack's exports that others import, each with its importers."""
        found = {}
        for name in _exports(stack):
            users = [
                each.name
                for each in self._stacks.values()
                if each is not stack and name in imports(each.template)
            ]
            if users:
                found[name] = (self._export(name), users)
        return found

    def _require_exports(self, stack: Stack, exported: dict[str, tuple[Any, list[str]]]) -> None:
        for name in sorted(exported.keys() - _exports(stack)):
            raise UpdateRefused(
                f"stack {stack.name} cannot remove its export {name}, because "
                f"{', '.join(exported[name][1])} imports it: deploy the importing stack first"
            )

    def _check_values(self, stack: Stack, exported: dict[str, tuple[Any, list[str]]]) -> None:
        for name, (value, users) in exported.items():
            if self._export(name) != value:
                raise UpdateRefused(
                    f"stack {stack.name} cannot change its export {name}, because "
                    f"{', '.join(users)} imports it: export another value beside it"
                )

    # -- resources ------------------------------------------------------------------------

    def _apply(self, stack: Stack) -> None:
        wanted = [
            logical_id
            for logical_id in stack.template.get("Resources", {})
            if self._exists(stack, logical_id)
        ]
        checks = len(self._deployment.checks)
        present = {key for key in self._resources if key[0] == stack.path}
        self._pending = {
            (known.stack, known.logical_id): known
            for known in self._assembly.resources
            if (known.stack, known.logical_id) in present and known.logical_id in wanted
        }
        for logical_id in wanted:
            if (stack.path, logical_id) not in present:
                self._touched.append(self._create(stack, logical_id))
            else:
                self._create(stack, logical_id)
        self._raise_problems()
        # Last, as in the clean-up after an update.
        for key in reversed([key for key in self._resources if key in present]):
            if key[1] not in wanted:
                self._delete(self._resources.pop(key))
        self._problems += unsupported(list(self._resources.values()))
        for resource, check in self._deployment.checks[checks:]:
            with self._collecting(resource.path, resource.where):
                check()
        self._raise_problems()

    def _raise_problems(self) -> None:
        if self._problems:
            raise LoadingError([*self._problems])

    def _create(self, stack: Stack, logical_id: str) -> Resource:
        """Creates a resource, or updates it before the first one that refers to it."""
        key = (stack.path, logical_id)
        if known := self._pending.pop(key, None):
            self._update(stack, self._resources[key], known)
        return super()._create(stack, logical_id)

    def _update(self, stack: Stack, resource: Resource, known: Resource) -> None:
        where = resource.where
        if known.type != resource.type:
            raise UpdateRefused(f"{where}: its type cannot become {known.type}: rename it")
        if resource.type in WITHOUT_PART:
            if resource.definition != known.definition:
                self._touched.append(resource)
            resource.definition = known.definition
            return
        for name in listed(known.definition.get("DependsOn")):
            if self._exists(stack, name):
                self._create(stack, name)
        new = replace(known, properties={}, attributes={})
        self._resolve_into(new, stack)
        former, resource.definition = resource.properties, known.definition
        changed = {
            name
            for name in former.keys() | new.properties.keys()
            if former.get(name) != new.properties.get(name)
        }
        if not changed:
            return
        resource.properties = new.properties
        self._touched.append(resource)
        with self._collecting(resource.path, where):
            self._change(resource, changed - self._ignored.get(resource.type, set()))

    def _change(self, resource: Resource, names: set[str]) -> None:
        updater = UPDATERS.get(resource.type)
        for name in sorted(names):
            if updater is None or not updater.knows(name):
                raise UnsupportedTemplateError(
                    f"{resource.where}: the rehearsal cannot update {name} of "
                    f"{resource.path}: write an updater for it in cdk_rehearsal/resources, or add "
                    "a new resource beside it and remove this one in a second deployment"
                )
        if updater is not None and names:
            properties = Properties(resource.properties, resource.where)
            updater.update(self._deployment, resource, properties, self._release)
            self._deployment.core.name(resource.path, resource.physical_id)
            # One that updates all properties has read them all.
            unknown = properties.unknown() if updater.only is None else []
            for problem in [*properties.problems, *unknown]:
                self._report(resource.path, resource.where, problem)

    def _delete(self, resource: Resource) -> None:
        """Deletes a resource, unless it is retained: then it stays, without a stack."""
        self._touched.append(resource)
        self._forget(resource)
        if resource.definition.get("DeletionPolicy", "Delete") in _KEPT:
            return
        delete = DELETERS.get(resource.type)
        if delete is None:
            raise UnsupportedTemplateError(
                f"{resource.where}: the rehearsal cannot delete {resource.path}: write a deleter "
                "for its type in cdk_rehearsal/resources"
            )
        delete(self._deployment, resource)

    def _forget(self, resource: Resource) -> None:
        resources = self._deployment.resources
        resources[:] = [each for each in resources if each is not resource]


def _exports(stack: Stack) -> set[str]:
    return {*_names(stack)}


def _names(stack: Stack) -> Iterator[str]:
    for output in stack.template.get("Outputs", {}).values():
        name = output.get("Export", {}).get("Name")
        if isinstance(name, str):
            yield name
