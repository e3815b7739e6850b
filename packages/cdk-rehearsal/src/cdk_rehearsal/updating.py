"""Updates stacks of a running application, one at a time, as CloudFormation does."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from typing import Any, NamedTuple

from cdk_rehearsal.assembly import Assembly, Resource, Stack, imports, listed, named
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
from cdk_rehearsal.shifting import MINUTE_S, Shift, ShiftStopped

_KEPT = ("Retain", "RetainExceptOnCreate")
_Key = tuple[str, str]


class UpdateRefused(RehearsalError):
    """CloudFormation refuses an update, or rolls it back."""


class UpdateRolledBack(RehearsalError):
    """A shift of traffic has failed, and the stack is as it was before its update."""


class _Deployed(NamedTuple):
    """Where a stack comes from."""

    assembly: Assembly
    release: str


class Updater(Loader):
    """Creates the resources of an assembly, and updates them to those of other assemblies."""

    def __init__(self, *given: Any, on_change: Callable[[], object]) -> None:
        """Takes what `Loader` takes. `on_change` is called whenever resources have changed."""
        super().__init__(*given)
        self._on_change = on_change
        self._deployed: dict[str, _Deployed] = {}
        self._shifts: dict[_Key, Shift] = {}
        """The shifts of traffic that go on."""
        self._replaced: dict[_Key, Resource] = {}
        """Replaced resources, as they were before."""
        self._surplus: list[Resource] = []
        """What a rollback leaves to be deleted."""
        self._is_updating = False
        self._first = self._assembly
        self._pending: dict[_Key, Resource] = {}
        """Present resources that are still to be updated, in their new versions."""
        self._release = Release()
        self._touched: list[Resource] = []

    def update(self, path: str, assembly: Assembly, release: Release) -> list[Resource]:
        """Updates a stack to its version in an assembly, or creates it.

        To be called in a process, because shifts of traffic take virtual time. Returns the
        resources that are created, changed or deleted. Raises UpdateRolledBack if a shift fails.
        Raises UpdateRefused for what CloudFormation refuses, and LoadingError for what cannot be
        rehearsed: the application is not to be used after that.
        """
        if self._is_updating:
            raise RehearsalError(f"stack {path} has to wait: another stack is being updated")
        self._is_updating = True
        try:
            return self._change_stack(path, assembly, release)
        finally:
            self._is_updating = False

    def name_release(self, name: str) -> None:
        """Gives all that is deployed now the name of a release."""
        for path in self._stacks:
            self._deployed[path] = _Deployed(self._source(path).assembly, name)

    def _source(self, path: str) -> _Deployed:
        return self._deployed.get(path, _Deployed(self._first, ""))

    def _change_stack(self, path: str, assembly: Assembly, release: Release) -> list[Resource]:
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
        try:
            self._begin(stack, assembly, release)
        except ShiftStopped as stopped:
            self._roll_back(path)
            raise UpdateRolledBack(f"stack {stack.name} is rolled back: {stopped}") from None
        self._deployed[path] = _Deployed(assembly, release.name)
        self._check_values(stack, exported)
        return self._touched

    def _begin(self, stack: Stack, assembly: Assembly, release: Release) -> None:
        self._assembly = self._deployment.assembly = assembly
        self._release = release
        self._stacks[stack.path], self._resolvers[stack.path] = stack, self._resolver(stack)
        self._deployment.stacks.update(stack)
        self._problems.clear()
        self._touched = []
        self._apply(stack)

    def _roll_back(self, path: str) -> None:
        """Brings a stack back to what it was before its update, at once."""
        self._shifts.clear()
        source = self._source(path)
        former = next(each for each in source.assembly.stacks if each.path == path)
        self._begin(former, source.assembly, Release(source.release, is_rollback=True))

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
        self._bring_in_order(stack, wanted, present)
        # Last, as in the clean-up after an update.
        for key in reversed([key for key in self._resources if key in present]):
            if key[1] not in wanted:
                self._delete(self._resources.pop(key))
        self._delete_replaced()
        self._on_change()
        self._problems += unsupported(list(self._resources.values()))
        for resource, check in self._deployment.checks[checks:]:
            with self._collecting(resource.path, resource.where):
                check()
        self._raise_problems()

    def _bring_in_order(self, stack: Stack, wanted: list[str], present: set[_Key]) -> None:
        """Creates and updates resources, each after those that it refers to or depends on.

        What depends on an alias waits for the end of its shift. Other aliases shift meanwhile.
        """
        order = TopologicalSorter(_dependencies(stack, wanted))
        try:
            order.prepare()
        except CycleError as error:
            circle = " -> ".join(reversed(error.args[1]))
            raise UpdateRefused(
                f"stack {stack.name}: resources depend on each other: {circle}"
            ) from None
        while order.is_active():
            ready = order.get_ready()
            for logical_id in ready:
                resource = self._create(stack, logical_id)
                if (stack.path, logical_id) not in present:
                    self._touched.append(resource)
            self._raise_problems()
            if not ready:
                self._on_change()
                self._deployment.core.scheduler.sleep(MINUTE_S)
                ready = tuple(logical_id for _, logical_id in self._shifts)
            for logical_id in ready:
                self._go_on((stack.path, logical_id))
            order.done(*(each for each in ready if (stack.path, each) not in self._shifts))

    def _go_on(self, key: _Key) -> None:
        """Takes the next step of a shift, if a resource shifts, and forgets it at its end."""
        shift = self._shifts.get(key)
        if shift is not None and next(shift, self) is self:
            del self._shifts[key]

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
        resource.update_policy = new.update_policy
        changed = {
            name
            for name in former.keys() | new.properties.keys()
            if former.get(name) != new.properties.get(name)
        }
        if not changed:
            return
        self._touched.append(resource)
        key = (stack.path, resource.logical_id)
        if self._release.is_rollback and key in self._replaced:
            self._restore(resource, self._replaced.pop(key))
            return
        resource.properties = new.properties
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
            former = replace(resource)
            shift = updater.update(self._deployment, resource, properties, self._release)
            key = (resource.stack, resource.logical_id)
            if resource.physical_id != former.physical_id:
                self._replaced[key] = former
            if shift is not None:
                self._shifts[key] = shift
            self._deployment.core.name(resource.path, resource.physical_id)
            # One that updates all properties has read them all.
            unknown = properties.unknown() if updater.only is None else []
            for problem in [*properties.problems, *unknown]:
                self._report(resource.path, resource.where, problem)

    def _restore(self, resource: Resource, former: Resource) -> None:
        """Lets a replaced resource be the former one again. The new one is to be deleted."""
        self._surplus.append(replace(resource))
        resource.physical_id, resource.attributes = former.physical_id, former.attributes
        resource.properties = former.properties

    def _delete_replaced(self) -> None:
        """Deletes what updates have replaced, and what a rollback has restored, unless retained.

        https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-attribute-updatereplacepolicy.html
        """
        replaced = [*self._replaced.values()]
        surplus = [*self._surplus]
        self._replaced.clear()
        self._surplus.clear()
        for resource in replaced:
            if resource.definition.get("UpdateReplacePolicy", "Delete") not in _KEPT:
                self._remove(resource)
        for resource in surplus:
            if not self._is_kept(resource):
                self._remove(resource)

    def _is_kept(self, resource: Resource) -> bool:
        """Whether a resource stays that its stack no longer has.

        https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-attribute-deletionpolicy.html
        """
        policy = resource.definition.get("DeletionPolicy", "Delete")
        # What the rollback deletes was created by the update.
        return policy == "Retain" or (policy in _KEPT and not self._release.is_rollback)

    def _delete(self, resource: Resource) -> None:
        """Deletes a resource, unless it is retained: then it stays, without a stack."""
        self._touched.append(resource)
        self._forget(resource)
        self._generations[resource.stack, resource.logical_id] += 1
        if not self._is_kept(resource):
            self._remove(resource)

    def _remove(self, resource: Resource) -> None:
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


def _dependencies(stack: Stack, wanted: list[str]) -> Mapping[str, set[str]]:
    """Returns the resources that each resource of a template refers to or depends on."""
    stated, present = stack.template.get("Resources", {}), {*wanted}
    return {
        each: present.intersection(
            named([stated[each].get(part) for part in ("Properties", "UpdatePolicy")])
        ).union(present.intersection(listed(stated[each].get("DependsOn"))))
        - {each}
        for each in wanted
    }


def _exports(stack: Stack) -> set[str]:
    return {*_names(stack)}


def _names(stack: Stack) -> Iterator[str]:
    for output in stack.template.get("Outputs", {}).values():
        name = output.get("Export", {}).get("Name")
        if isinstance(name, str):
            yield name
