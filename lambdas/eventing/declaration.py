"""Declarations: the events that a handler publishes, and how it uses its context's table.

Grants, documents and the proof of routes derive from them. The kernel rejects everything else.
"""

from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from functools import update_wrapper
from typing import Any, ClassVar, Generic, Literal, TypeVar, get_args

from aws_lambda_powertools.utilities.typing import LambdaContext
from msgspec import Struct, structs

from lambdas.eventing import telemetry
from lambdas.eventing.event import Event
from lambdas.eventing.misconfiguration import Misconfigured
from lambdas.eventing.personal import Personal

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


class Use(Struct, frozen=True, repr_omit_defaults=True):
    """An operation on the context's table, on one of its indexes, or in the vault.

    In the vault, it concerns one `kind` of personal data.
    """

    operation: Operation
    index: str | None = None
    kind: type[Personal] | None = None
    former: bool = False
    """Whether only the code of the release before does it. See `formerly`."""


BATCH_GET = Use("BatchGetItem")
CONDITION_CHECK = Use("ConditionCheckItem")
DELETE = Use("DeleteItem")
GET = Use("GetItem")
PUT = Use("PutItem")
QUERY = Use("Query")
UPDATE = Use("UpdateItem")


def formerly(use: Use) -> Use:
    """Declares a use of its context's table that a handler has given up in this release.

    It is granted, and refused by the kernel. While an upgrade runs, the code of the release before
    has the role of this one, and a refused call parks its message. Remove it in the next release.
    """
    return structs.replace(use, former=True)


_NAMES = {use: name for name, use in vars().items() if isinstance(use, Use)}
_IN_VAULT: Mapping[str, str] = {
    "DeleteItem": "discards",
    "GetItem": "redeems",
    "PutItem": "deposits",
    "Query": "lists",
    "UpdateItem": "keeps",
}
"""The functions of the kernel's `vault` that declare an operation there."""


class Undeclared(Misconfigured):
    """A handler publishes an event, or uses a table in a way, that it does not declare."""


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
        for event in self._each("publishes", publishes):
            self._require_own_event(event)
        for use in self._each("uses", uses):
            self._require_use(use)
        self.publishes = frozenset(publishes)
        """The events that it adds to the outbox."""
        in_vault = {use for use in uses if use.kind}
        own = {*uses, PUT} - in_vault if self.publishes else {*uses} - in_vault
        self.uses = frozenset(use for use in own if not use.former)
        """How it uses its context's table, including the outbox."""
        self.granted = frozenset(structs.replace(use, former=False) for use in own)
        """How its role may use the table: also as the release before does."""
        self.in_vault = frozenset(in_vault)
        """How it uses the vault of personal data."""
        self._declared: frozenset[object] = self.publishes | self.uses | self.in_vault
        telemetry.loaded()

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
        if action in self._declared:
            return
        if isinstance(action, Use):
            does = f"calls {action.operation} on {_place(action)}"
            remedy = f"uses=({_spelling(action)},)"
        else:
            does, remedy = f"publishes {action.__name__}", f"publishes=({action.__name__},)"
        raise Undeclared(
            f"{self.name} {does}, which it does not declare: add @{self.decorator}(…, {remedy})"
        )

    def _invoke(self, event: dict[str, Any], context: LambdaContext) -> R:
        """Handles an invocation."""
        raise NotImplementedError

    def _each(self, option: str, declared: object) -> Iterable[object]:
        if isinstance(declared, str) or not isinstance(declared, Iterable):
            raise self._wrong(option, declared, f"write a tuple, {option}=(…,)")
        return declared

    def _require_own_event(self, event: object) -> None:
        if not (isinstance(event, type) and issubclass(event, Event)):
            raise self._wrong("publishes", event, "name subclasses of Event")
        if _package(event) != _package(self):
            raise self._wrong("publishes", event, "name events of the handler's own context")

    def _require_use(self, use: object) -> None:
        if not (isinstance(use, Use) and use.operation in get_args(Operation)):
            names = ", ".join(_NAMES.values())
            raise self._wrong("uses", use, f"choose among {names} of {__name__}, or a Use of these")
        if use.former and use.kind:
            raise self._wrong("uses", use, "name uses of the context's own table alone `formerly`")

    def _wrong(self, option: str, value: object, remedy: str) -> TypeError:
        return TypeError(f"{self.name}: @{self.decorator}({option}=…) has {value!r}: {remedy}")


_running: ContextVar[Handler[Any] | None] = ContextVar("running", default=None)


def time_left(context: LambdaContext) -> Callable[[], float]:
    """Returns a function that returns the seconds for which an invocation may still run."""
    return lambda: context.get_remaining_time_in_millis() / 1000


def check(action: type[Event] | Use) -> None:
    """Raises Undeclared if a handler runs that does not declare this publication or use."""
    handler = _running.get()
    if handler is not None:
        handler.check(action)


def _place(use: Use) -> str:
    if use.kind:
        return f"the vault's {use.kind.__name__}"
    return f"index {use.index} of its table" if use.index else "its table"


def _spelling(use: Use) -> str:
    if use.kind:
        return f"*vault.{_IN_VAULT[use.operation]}({use.kind.__name__})"
    return _NAMES.get(use, repr(use))


def _package(owner: Any) -> str:
    return str(owner.__module__).rpartition(".")[0]
