"""Declarations: what a handler publishes, and how it uses its context's table.

Grants, documents and the proof of routes derive from them. A handler that does something else
fails: here, and on AWS for lack of a permission.
"""

from collections.abc import Callable, Iterable
from contextvars import ContextVar
from functools import update_wrapper
from typing import Any, ClassVar, Generic, Literal, TypeVar, get_args

from aws_lambda_powertools.utilities.typing import LambdaContext
from msgspec import Struct

from lambdas.eventing import telemetry
from lambdas.eventing.event import Event
from lambdas.eventing.misconfiguration import Misconfigured

R = TypeVar("R")

Operation = Literal[
    "BatchGetItem",
    "ConditionCheckItem",
    "DeleteItem",
    "GetItem",
    "PutItem",
    "Query",
    "UpdateItem",
]
"""Actions of IAM. Those of a transaction are named one by one.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html"""


class Use(Struct, frozen=True):
    """An operation on the context's table, or on one of its indexes."""

    operation: Operation
    index: str | None = None


BATCH_GET = Use("BatchGetItem")
CONDITION_CHECK = Use("ConditionCheckItem")
DELETE = Use("DeleteItem")
GET = Use("GetItem")
PUT = Use("PutItem")
QUERY = Use("Query")
UPDATE = Use("UpdateItem")

_NAMES = {use: name for name, use in vars().items() if isinstance(use, Use)}


class Undeclared(Misconfigured):
    """A handler publishes an event, or uses its table in a way, that it does not declare."""


class Handler(Generic[R]):
    """The Lambda entry of one function, with its declaration."""

    decorator: ClassVar[str]
    """The name of the decorator that makes it."""

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        publishes: Iterable[type[Event]],
        uses: Iterable[Use],
    ) -> None:
        update_wrapper(self, function)
        self.name = function.__module__.removeprefix("lambdas.")
        self.publishes = frozenset(_checked("publishes", publishes, self._misdeclared_event))
        """What it adds to the outbox."""
        outbox = [PUT] if self.publishes else []
        self.uses = frozenset([*_checked("uses", uses, self._misdeclared_use), *outbox])
        """How it uses its context's table, the outbox included."""
        self._declared: frozenset[object] = self.publishes | self.uses

    def __call__(self, event: dict[str, Any], context: LambdaContext) -> R:
        """Handles an invocation, and sends the metrics that were counted."""
        token = _running.set(self)
        try:
            return self._invoke(event, context)
        finally:
            _running.reset(token)
            telemetry.flush()

    def check(self, action: type[Event] | Use) -> None:
        """Raises Undeclared if the handler does not declare this publication or use."""
        if action not in self._declared:
            raise Undeclared(self._undeclared(action))

    def _invoke(self, event: dict[str, Any], context: LambdaContext) -> R:
        """Handles an invocation."""
        raise NotImplementedError

    def _undeclared(self, action: type[Event] | Use) -> str:
        if isinstance(action, Use):
            place = f"index {action.index} of its table" if action.index else "its table"
            remedy = f"uses=({_NAMES.get(action, action)},)"
            return (
                f"{self.name} calls {action.operation} on {place}, which it does not declare: "
                f"add it, @{self.decorator}(…, {remedy})"
            )
        return (
            f"{self.name} publishes {action.__name__}, which it does not declare: "
            f"add it, @{self.decorator}(…, publishes=({action.__name__},))"
        )

    def _misdeclared_event(self, event: object) -> str | None:
        if not (isinstance(event, type) and issubclass(event, Event)):
            return f"{self.name} publishes {event!r}, which is not an Event class"
        if _package(event) != _package(self):
            return (
                f"{self.name} publishes {event.__name__} of {event.__module__}: "
                "a context publishes its own events only"
            )
        return None

    def _misdeclared_use(self, use: object) -> str | None:
        if isinstance(use, Use) and use.operation in get_args(Operation):
            return None
        return f"{self.name} uses {use!r}, which is none of {', '.join(_NAMES.values())}, Use(…)"


_running: ContextVar[Handler[Any] | None] = ContextVar("running", default=None)


def check(action: type[Event] | Use) -> None:
    """Raises Undeclared if a handler runs that does not declare this publication or use."""
    handler = _running.get()
    if handler is not None:
        handler.check(action)


def _checked(name: str, declared: Any, fault: Callable[[Any], str | None]) -> Iterable[Any]:
    """Returns `declared`. Raises TypeError that says what is wrong, where, and what to do."""
    if isinstance(declared, str) or not isinstance(declared, Iterable):
        raise TypeError(f"{name}={declared!r} is not a tuple: write {name}=(…,)")
    for each in declared:
        if message := fault(each):
            raise TypeError(message)
    return declared


def _package(owner: Any) -> str:
    return str(owner.__module__).rpartition(".")[0]
