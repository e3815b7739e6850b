"""CloudFormation: the stacks of the assembly with their resources and outputs, as deployed."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import moto.backends
from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult

from cdk_rehearsal.assembly import Resource, Stack
from cdk_rehearsal.core import Core
from cdk_rehearsal.sandbox.patching import Patches

if TYPE_CHECKING:
    pass

_STATUS = "CREATE_COMPLETE"
_PAGE = 100


class _ValidationError(ServiceException):
    code = "ValidationError"


class Stacks:
    """The stacks of the assembly. A stack of the same name that a client has created comes first.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ListStackResources.html
    """

    def __init__(self, core: Core, stacks: Iterable[Stack], resources: Iterable[Resource]) -> None:
        self._core = core
        self._stacks = {stack.name: stack for stack in stacks}
        self._resources = resources
        self._created = datetime.fromtimestamp(core.scheduler.now(), UTC)
        self.outputs: Callable[[Stack], Mapping[str, Any]] = lambda _: {}
        """Returns the values of a stack's outputs, once its resources are created."""

    def update(self, stack: Stack) -> None:
        """Takes the new version of a stack, or a new stack."""
        self._stacks[stack.name] = stack

    def install(self, patches: Patches) -> None:
        """Answers what operators ask about stacks, once somebody asks.

        moto's CloudFormation imports all of moto.
        """
        of_moto = moto.backends.get_backend
        is_installed = False

        def get_backend(name: Any) -> Any:
            nonlocal is_installed
            backend = of_moto(name)
            if name == "cloudformation" and not is_installed:
                is_installed = True
                self._answer(patches)
            return backend

        patches.set(moto.backends, "get_backend", get_backend)

    def _answer(self, patches: Patches) -> None:
        from moto.cloudformation.responses import CloudFormationResponse

        of_moto = {
            name: getattr(CloudFormationResponse, name)
            for name in (
                "describe_stack_resource",
                "describe_stack_resources",
                "describe_stacks",
                "list_stack_resources",
            )
        }

        def answering(name: str, answer: Callable[[Stack, Any], dict[str, Any]]) -> None:
            def respond(response: CloudFormationResponse) -> Any:
                wanted = response._get_param("StackName")
                backend = response.cloudformation_backend
                if any(wanted in (each.name, each.stack_id) for each in backend.stacks.values()):
                    return of_moto[name](response)
                return ActionResult(answer(self._stack(wanted), response._get_param))

            patches.set(CloudFormationResponse, name, respond)

        def describe_stacks(response: CloudFormationResponse) -> Any:
            wanted = response._get_param("StackName")
            own = {each.name for each in response.cloudformation_backend.stacks.values()}
            if wanted in own or (
                wanted and wanted.startswith("arn:") and wanted not in self._ids()
            ):
                return of_moto["describe_stacks"](response)
            if wanted:
                return ActionResult({"Stacks": [self._described(self._stack(wanted))]})
            created = response.cloudformation_backend.describe_stacks("")
            rehearsed = [self._described(each) for each in self._stacks.values()]
            shown = [each for each in rehearsed if each["StackName"] not in own]
            return ActionResult({"Stacks": [*created, *shown]})

        answering("list_stack_resources", self._listed)
        answering("describe_stack_resources", self._all_described)
        answering("describe_stack_resource", self._one_described)
        patches.set(CloudFormationResponse, "describe_stacks", describe_stacks)

    def _id(self, stack: Stack) -> str:
        core = self._core
        return stack.arn(core.account, core.region)

    def _ids(self) -> dict[str, Stack]:
        return {self._id(stack): stack for stack in self._stacks.values()}

    def _stack(self, name: str) -> Stack:
        stack = self._stacks.get(name) or self._ids().get(name)
        if stack is None:
            raise _ValidationError(f"Stack with id {name} does not exist")
        return stack

    def _described(self, stack: Stack) -> dict[str, Any]:
        values = self.outputs(stack)
        return {
            "StackId": self._id(stack),
            "StackName": stack.name,
            "CreationTime": self._created,
            "StackStatus": _STATUS,
            "Tags": {},
            "Outputs": [
                {"OutputKey": key, "OutputValue": value, "Description": output.get("Description")}
                for key, output in stack.template.get("Outputs", {}).items()
                if (value := values.get(key)) is not None
            ],
        }

    def _of(self, stack: Stack) -> list[dict[str, Any]]:
        return [
            {
                "LogicalResourceId": resource.logical_id,
                "PhysicalResourceId": resource.physical_id,
                "ResourceType": resource.type,
                "ResourceStatus": _STATUS,
                "LastUpdatedTimestamp": self._created,
                "Timestamp": self._created,
                "StackName": stack.name,
                "StackId": self._id(stack),
            }
            for resource in self._resources
            if resource.stack_name == stack.name
        ]

    def _listed(self, stack: Stack, parameter: Any) -> dict[str, Any]:
        token = parameter("NextToken") or "0"
        first = int(token) if token.isdecimal() else 0
        found = self._of(stack)
        answer: dict[str, Any] = {"StackResourceSummaries": found[first : first + _PAGE]}
        if first + _PAGE < len(found):
            answer["NextToken"] = str(first + _PAGE)
        return answer

    def _all_described(self, stack: Stack, parameter: Any) -> dict[str, Any]:
        wanted = parameter("LogicalResourceId")
        found = [each for each in self._of(stack) if wanted in (None, each["LogicalResourceId"])]
        return {"StackResources": found[:_PAGE]}

    def _one_described(self, stack: Stack, parameter: Any) -> dict[str, Any]:
        wanted = parameter("LogicalResourceId")
        for each in self._of(stack):
            if each["LogicalResourceId"] == wanted:
                return {"StackResourceDetail": each}
        raise _ValidationError(f"Resource {wanted} does not exist for stack {stack.name}")
