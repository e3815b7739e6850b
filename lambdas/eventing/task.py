"""Workflow tasks: functions that a state machine calls with the event that started it."""

from collections.abc import Callable
from functools import update_wrapper
from typing import Any, ClassVar, Generic

import msgspec
from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas.eventing import telemetry
from lambdas.eventing.event import CloudEvent, Delivery, E
from lambdas.eventing.misconfiguration import Misconfigured, misconfiguration


class Failure(msgspec.Struct, frozen=True, rename="pascal"):
    """The error that a state caught, as Step Functions hands it to the next state.

    https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
    """

    error: str
    cause: str

    @property
    def reason(self) -> str:
        """The reason code of a Refusal, or the error's name for any other error."""
        try:
            return msgspec.json.decode(self.cause, type=_LambdaError).errorMessage
        except msgspec.MsgspecError:
            return self.error


class _LambdaError(msgspec.Struct, frozen=True):
    """What Lambda makes of an exception.

    https://docs.aws.amazon.com/lambda/latest/dg/python-exceptions.html
    """

    errorMessage: str  # noqa: N815 - the name on the wire


class TaskInput(msgspec.Struct, frozen=True, kw_only=True):
    """What each task gets: the event that the workflow is about and, in compensation, why."""

    detail: CloudEvent
    failure: Failure | None = None


class _WaitingInput(TaskInput, frozen=True, kw_only=True):
    """What a task gets for whose answer the workflow waits: also the token to answer with."""

    token: str


class Task(Generic[E]):
    """The Lambda entry of a workflow task; `consumes` says in which versions it takes its event."""

    _reads: ClassVar[type[TaskInput]] = TaskInput

    def __init__(self, perform: Callable[..., None], about: type[E]) -> None:
        update_wrapper(self, perform)
        self.name = perform.__module__.removeprefix("lambdas.")
        self._perform = perform
        self._about = about
        self.consumes = about.versions()

    def __call__(self, event: dict[str, Any], context: LambdaContext) -> None:
        """Runs the task.

        Its exceptions reach the workflow, which selects retriers and catchers by their names.
        Configuration errors are raised as Misconfigured.
        """
        # Over JSON once more: data that are to stay as they are can be cut out of a text only.
        request = msgspec.json.decode(msgspec.json.encode(event), type=self._reads)
        delivery = request.detail.deliver_to(self.name, (self._about,))
        with telemetry.tracing(delivery, event_type=delivery.envelope.type):
            try:
                self._run(delivery, request)
            except Exception as error:
                if refused := misconfiguration(error):
                    raise Misconfigured(refused) from error
                raise
            finally:
                telemetry.flush()

    def _run(self, delivery: Delivery[E], request: Any) -> None:
        self._perform(delivery, request.failure)


class WaitingTask(Task[E]):
    """The Lambda entry of a task for whose answer, given by somebody later, the workflow waits."""

    _reads = _WaitingInput

    def _run(self, delivery: Delivery[E], request: Any) -> None:
        self._perform(delivery, request.token)


def task(
    about: type[E],
) -> Callable[[Callable[[Delivery[E], Failure | None], None]], Task[E]]:
    """Makes a function of a delivery, and of the failure to compensate, a workflow's task."""
    return lambda perform: Task(perform, about)


def waiting_task(
    about: type[E],
) -> Callable[[Callable[[Delivery[E], str], None]], WaitingTask[E]]:
    """Makes a function of a delivery and a task token a task for whose answer is waited."""
    return lambda perform: WaitingTask(perform, about)
