"""Workflow tasks: functions that a state machine calls with the event that started it."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Generic

import msgspec
from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas.eventing import telemetry
from lambdas.eventing.declaration import Handler, Use, time_left
from lambdas.eventing.event import CloudEvent, Delivery, E, Event
from lambdas.eventing.misconfiguration import Misconfigured, misconfiguration


class Failure(msgspec.Struct, frozen=True, rename="pascal"):
    """The error that a state caught, as Step Functions passes it to the next state.

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
    """The error object that Lambda returns for an exception.

    https://docs.aws.amazon.com/lambda/latest/dg/python-exceptions.html
    """

    errorMessage: str  # noqa: N815 - the name on the wire


Results = Mapping[str, Any]
"""What the earlier tasks of a workflow returned and the workflow kept, by step."""


class TaskInput(msgspec.Struct, frozen=True, kw_only=True):
    """The input of each task: the event that started the workflow, failure and results, if any."""

    detail: CloudEvent
    failure: Failure | None = None
    results: Results | msgspec.UnsetType = msgspec.UNSET


class _WaitingInput(TaskInput, frozen=True, kw_only=True):
    """The input of a task that waits: with the token for the answer."""

    token: str


class Task(Handler[Any], Generic[E]):
    """The Lambda entry of a workflow task. It `consumes` its event in all versions."""

    decorator: ClassVar[str] = "task"
    _reads: ClassVar[type[TaskInput]] = TaskInput

    def __init__(
        self,
        perform: Callable[..., Any],
        about: type[E],
        *,
        publishes: Iterable[type[Event]],
        uses: Iterable[Use],
    ) -> None:
        super().__init__(perform, publishes=publishes, uses=uses)
        self._perform = perform
        self._about = about
        self.consumes = about.versions()

    def _invoke(self, event: dict[str, Any], context: LambdaContext) -> Any:
        """Runs the task, and returns its result for the workflow.

        Its exceptions reach the workflow, which selects retriers and catchers by their names.
        Configuration errors are raised as Misconfigured.
        """
        # `data` is a msgspec.Raw, which can be decoded only from JSON text.
        request = msgspec.json.decode(msgspec.json.encode(event), type=self._reads)
        left = time_left(context)
        delivery = request.detail.deliver_to(self.name, (self._about,), seconds_left=left)
        type_ = delivery.envelope.type
        with telemetry.span(delivery, name=self.name, kind="internal", event_type=type_):
            try:
                return msgspec.to_builtins(self._run(delivery, request))
            except Exception as error:
                if refused := misconfiguration(error):
                    raise Misconfigured(refused) from error
                raise

    def _run(self, delivery: Delivery[E], request: Any) -> Any:
        return self._perform(delivery, request.failure)


class WaitingTask(Task[E]):
    """The Lambda entry of a task after which the workflow waits for an answer."""

    decorator: ClassVar[str] = "waiting_task"
    _reads = _WaitingInput

    def _run(self, delivery: Delivery[E], request: Any) -> Any:
        return self._perform(delivery, request.token)


class ConcludingTask(Task[E]):
    """The Lambda entry of a task that needs the results of earlier tasks."""

    decorator: ClassVar[str] = "concluding_task"

    def _run(self, delivery: Delivery[E], request: Any) -> Any:
        return self._perform(delivery, request.results or {})


def task(
    about: type[E], *, publishes: Iterable[type[Event]] = (), uses: Iterable[Use] = ()
) -> Callable[[Callable[[Delivery[E], Failure | None], Any]], Task[E]]:
    """Makes a function of a delivery, and of the failure to compensate, a workflow's task."""
    return lambda perform: Task(perform, about, publishes=publishes, uses=uses)


def waiting_task(
    about: type[E], *, publishes: Iterable[type[Event]] = (), uses: Iterable[Use] = ()
) -> Callable[[Callable[[Delivery[E], str], None]], WaitingTask[E]]:
    """Makes a function of a delivery and a task token a task that waits for an answer."""
    return lambda perform: WaitingTask(perform, about, publishes=publishes, uses=uses)


def concluding_task(
    about: type[E], *, publishes: Iterable[type[Event]] = (), uses: Iterable[Use] = ()
) -> Callable[[Callable[[Delivery[E], Results], None]], ConcludingTask[E]]:
    """Makes a function of a delivery and the earlier results a workflow's task."""
    return lambda perform: ConcludingTask(perform, about, publishes=publishes, uses=uses)
