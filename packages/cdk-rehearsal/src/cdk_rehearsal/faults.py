"""Faults that a rehearsal injects into deliveries, invocations and API calls."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Literal, Protocol

from botocore.exceptions import ClientError, ReadTimeoutError
from msgspec import Struct

from cdk_rehearsal.errors import RehearsalError

Moment = Literal[
    "request",
    "way",
    "delivery",
    "receive",
    "hide",
    "delete",
    "invoke",
    "before",
    "after",
    "call",
    "clock",
    "handshake",
    "web",
]
"""Where a fault acts, and what its effect is:

- ``request``: a client's request reaches a route; a function of the Arrival delivers it;
- ``way``: a rule, topic, bucket or schedule sends something on its way; a function of a generator
  of random numbers says after how many seconds each copy sets out;
- ``delivery``: it arrives; the error that fails the attempt;
- ``receive``: a poller looks at a queue; a function puts the visible messages in another order;
- ``hide``: a message was received; the seconds for which it is hidden;
- ``delete``: a message was handled; it is not deleted;
- ``invoke``: a function is invoked; it is throttled;
- ``before``, ``after``: its handler runs; the error that it raises, or that loses its answer;
- ``call``: it calls an AWS API; a function of the Call answers in its place;
- ``clock``: the seconds by which its clock is ahead;
- ``handshake``: it connects with a host outside AWS; the host shows another one's certificate;
- ``web``: it sends a request to that host; a function of the Exchange answers in its place.
"""

FOREVER = 10.0**6
"""Seconds that outlast any function."""


class InjectedFault(Exception):
    """The error of a fault that names no other."""


class TargetGone(InjectedFault):
    """The error of a delivery whose target does not exist any more: a retry does not help."""


class Call(Struct, frozen=True):
    """A call of an AWS API that is about to be made; ``perform`` makes it."""

    service: str
    operation: str
    parameters: dict[str, Any]
    perform: Callable[[dict[str, Any]], Any]
    sleep: Callable[[float], None]

    def refuse(self, code: str, **response: Any) -> ClientError:
        """Returns the error with which the service refuses."""
        answer: Any = {"Error": {"Code": code, "Message": "injected fault"}, **response}
        return ClientError(answer, self.operation)


class Delivery(Protocol):
    """Delivers a request to its route, and returns the answer."""

    def __call__(
        self, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Any:
        """``headers`` and ``body`` take the place of the client's own."""


class Arrival(Struct, frozen=True):
    """A client's request that is about to reach a route; ``deliver`` lets it do so.

    Names of headers are in lower case. The meter names the fault in each delivery's record.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    deliver: Delivery
    sleep: Callable[[float], None]


class Exchange(Struct, frozen=True):
    """A request to a host outside AWS; ``answer`` lets the host have its effect.

    It returns the status, headers and body. None stands for a host that never answers.
    ``operation`` is that of the request's site.
    """

    operation: str
    answer: Callable[[], tuple[int, Any, bytes | str]]


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong at one moment, again and again or ``times`` times."""

    name: str
    says: str
    moment: Moment
    effect: Any = None
    times: int | None = 1


# -- calls --------------------------------------------------------------------------------


def _refusing(code: str) -> Callable[[Call], Any]:
    def refuse(call: Call) -> Any:
        raise call.refuse(code)

    return refuse


def _lose(call: Call) -> Any:
    call.perform(call.parameters)
    raise ReadTimeoutError(endpoint_url=f"https://{call.service}.amazonaws.com")


def _hang(call: Call) -> Any:
    call.sleep(FOREVER)


def _conflict(call: Call) -> Any:
    # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html
    if "TransactItems" not in call.parameters:
        raise call.refuse("TransactionConflictException")
    others = [{"Code": "None"}] * (len(call.parameters["TransactItems"]) - 1)
    reasons = [{"Code": "TransactionConflict"}, *others]
    raise call.refuse("TransactionCanceledException", CancellationReasons=reasons)


def _take_every_other(call: Call) -> Any:
    """Lets only every second entry of a batch happen, the first one not."""
    return _PARTIAL[call.operation](call)


def _put_some(call: Call) -> Any:
    name, count = _ENTRIES[call.operation]
    entries = call.parameters[name]
    refused = {"ErrorCode": "InternalFailure", "ErrorMessage": "injected fault"}
    results: list[Any] = [refused] * len(entries)
    answer: dict[str, Any] = {}
    if taken := entries[1::2]:
        answer = call.perform({**call.parameters, name: taken})
        results[1::2] = answer[name]
    return {**answer, name: results, count: (len(entries) + 1) // 2}


def _get_some(call: Call) -> Any:
    # https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html
    ((table, wanted),) = call.parameters["RequestItems"].items()
    left = {table: {**wanted, "Keys": wanted["Keys"][::2]}}
    if not wanted["Keys"][1::2]:
        return {"Responses": {}, "UnprocessedKeys": left}
    some = {table: {**wanted, "Keys": wanted["Keys"][1::2]}}
    return {**call.perform({**call.parameters, "RequestItems": some}), "UnprocessedKeys": left}


_ENTRIES = {
    "PutEvents": ("Entries", "FailedEntryCount"),
    "PutRecords": ("Records", "FailedRecordCount"),
}
"""The name of the entries in a request and its answer, and that of the count of refused ones."""
_PARTIAL: dict[str, Callable[[Call], Any]] = {
    "PutEvents": _put_some,
    "PutRecords": _put_some,
    "BatchGetItem": _get_some,
}
PARTIAL = frozenset(_PARTIAL)
"""Operations that may take a part of what they are given."""

# -- requests of clients --------------------------------------------------------------------


def _deliver_twice(arrival: Arrival) -> Any:
    arrival.deliver()
    return arrival.deliver()


def _deliver_late(arrival: Arrival) -> Any:
    arrival.sleep(600)
    return arrival.deliver()


# -- requests to hosts outside AWS ---------------------------------------------------------


def _silence(_: Exchange) -> None:
    return None


def _lose_answer(exchange: Exchange) -> None:
    exchange.answer()


def _limit(_: Exchange) -> Any:
    return 429, {"Retry-After": "1"}, b""


def _break(_: Exchange) -> Any:
    return 500, {}, b""


def _break_afterwards(exchange: Exchange) -> Any:
    exchange.answer()
    return 500, {}, b""


def _garble(exchange: Exchange) -> Any:
    status, headers, _ = exchange.answer()
    return status, headers, b'{"id": "'


# -- the faults there are -----------------------------------------------------------------


def _shuffle(random: Random, messages: list[Any]) -> None:
    random.shuffle(messages)


_ALL = (
    Fault("sent-twice", "a client's request arrives twice", "request", _deliver_twice),
    Fault("sent-late", "a client's request arrives ten minutes late", "request", _deliver_late),
    Fault("duplicate", "delivered twice", "way", lambda r: (0.0, r.uniform(0.1, 5))),
    Fault("late", "delivered minutes late", "way", lambda r: (r.uniform(60, 600),)),
    Fault("overtaken", "overtaken by others", "way", lambda r: (r.uniform(0, 30),), None),
    Fault("refused", "the target refuses at first", "delivery", InjectedFault("busy"), 3),
    Fault("unavailable", "the target refuses for good", "delivery", InjectedFault("down"), None),
    Fault("gone", "the target was deleted", "delivery", TargetGone("deleted"), None),
    Fault("shuffled", "received in any order", "receive", _shuffle, None),
    Fault("early", "visible again while it is handled", "hide", 0.0),
    Fault("undeleted", "received again after it was handled", "delete"),
    Fault("throttled", "the function is throttled", "invoke", times=4),
    Fault("raises", "raises before its commit", "before", InjectedFault("before")),
    Fault("dies", "dies between commit and answer", "after", InjectedFault("after")),
    Fault("raises-on", "raises before its commit, always", "before", InjectedFault("before"), None),
    Fault("dies-on", "dies after its commit, always", "after", InjectedFault("after"), None),
    Fault("fast", "its clock is four minutes ahead", "clock", 240.0, None),
    Fault("slow", "its clock is four minutes behind", "clock", -240.0, None),
    Fault("hangs", "runs into its time-out in a call", "call", _hang),
    Fault("call-throttled", "the call is throttled", "call", _refusing("ThrottlingException")),
    Fault("call-lost", "the call happens, its answer is lost", "call", _lose),
    Fault("call-fails", "the call fails, always", "call", _refusing("InternalServerError"), None),
    Fault(
        "call-denied",
        "the call is denied, always",
        "call",
        _refusing("AccessDeniedException"),
        None,
    ),
    Fault("conflict", "the write meets a transaction of others", "call", _conflict, 3),
    Fault("host-silent", "a host outside AWS gets the request and does nothing", "web", _silence),
    Fault("host-lost", "a host outside AWS acts, its answer is lost", "web", _lose_answer),
    Fault("host-limits", "a host outside AWS answers 429", "web", _limit, 3),
    Fault("host-fails", "a host outside AWS answers 500", "web", _break, 3),
    Fault("host-down", "a host outside AWS answers 500, always", "web", _break, None),
    Fault("host-mute", "a host outside AWS acts, no answer arrives", "web", _lose_answer, None),
    Fault("host-breaks", "a host outside AWS acts and answers 500", "web", _break_afterwards),
    Fault("host-garbles", "a host outside AWS acts, its answer is malformed", "web", _garble),
    Fault("impostor", "a host shows another one's certificate", "handshake", times=3),
    Fault("partial", "a part of the batch is refused", "call", _take_every_other, 2),
)
FAULTS = {fault.name: fault for fault in _ALL}
"""Every fault by its name."""


@dataclass(eq=False)
class Planned:
    """A fault that is to come at a site."""

    fault: Fault
    source: str | None
    target: str | None
    operation: str | None
    left: int | None
    passes: int
    """Occasions that it lets pass before it acts."""

    def meets(self, moment: Moment, source: str, target: str, operation: str) -> bool:
        """Whether it acts at this moment."""
        return (
            self.fault.moment == moment
            and self.source in (None, source)
            and self.target in (None, target)
            and self.operation in (None, operation)
        )


class Faults:
    """The faults that are to come; each is used up after so many occasions."""

    def __init__(
        self,
        is_known: Callable[[str], bool],
        report: Callable[[Fault, str, str], object],
        random: Random,
    ) -> None:
        """``is_known`` says whether there is a resource at a path.

        ``report`` is called with each fault that acts, and with its source and target.
        """
        self._is_known = is_known
        self._report = report
        self._random = random
        self._planned: list[Planned] = []

    def plan(
        self,
        fault: Fault,
        *,
        source: str | None = None,
        target: str | None = None,
        operation: str | None = None,
        times: int | None = None,
        passes: int = 0,
    ) -> Planned:
        """Lets a fault act between ``source`` and ``target``, paths; None stands for any.

        For calls, ``operation`` narrows it down to one of the API's. ``times`` takes the place of
        the fault's own number; ``passes`` is how many occasions go well before.
        """
        for path in (source, target):
            if path is not None and not self._is_known(path):
                raise RehearsalError(f"a fault is meant for {path}, but no resource has this path")
        left = fault.times if times is None else times
        planned = Planned(fault, source, target, operation, left, passes)
        self._planned.append(planned)
        return planned

    def fail(
        self,
        target: str,
        *,
        times: int | None = 1,
        error: BaseException | None = None,
        when: Literal["before", "after", "delivery"] = "before",
    ) -> None:
        """Lets what happens at ``target``, a path, fail the next ``times`` times (None: always).

        ``before`` raises instead of running a function's handler; ``after`` runs the handler and
        loses its answer, as a crash between effect and acknowledgement does; ``delivery`` fails
        the attempts of rules, topics, buckets and schedules to deliver to the target, in a way that
        is worth a retry.
        """
        fault = Fault("failure", "fails", when, error or InjectedFault(target), times)
        self.plan(fault, target=target)

    def clear(self) -> None:
        """Takes back all faults that are left."""
        self._planned.clear()

    def cancel(self, planned: Planned) -> None:
        """Takes a fault back; without effect if it is used up."""
        if planned in self._planned:
            self._planned.remove(planned)

    def left(self) -> list[Planned]:
        """Returns the faults that are still to come."""
        return list(self._planned)

    # -- for the parts of the rehearsal ---------------------------------------------------

    def strike(self, moment: Moment, source: str, target: str, operation: str = "") -> Fault | None:
        """Returns the first fault that is meant for this moment, or None, and uses it up."""
        for planned in self._planned:
            if not planned.meets(moment, source, target, operation):
                continue
            if planned.passes:
                planned.passes -= 1
                continue
            if planned.left is not None:
                planned.left -= 1
                if planned.left <= 0:
                    self._planned.remove(planned)
            self._report(planned.fault, source, target)
            return planned.fault
        return None

    def check(self, moment: Moment, source: str, target: str) -> None:
        """Raises the error of the first fault that is meant for this moment, if there is one."""
        fault = self.strike(moment, source, target)
        if fault is not None:
            # Without the frames of earlier times, to which a raise adds its own.
            raise fault.effect.with_traceback(None)

    def way(self, source: str, target: str) -> Sequence[float]:
        """Returns after how many seconds each copy of what is delivered sets out."""
        fault = self.strike("way", source, target)
        return (0.0,) if fault is None else fault.effect(self._random)

    def ahead(self, function: str) -> float:
        """Returns the seconds by which a function's clock is ahead."""
        fault = self.strike("clock", "", function)
        return 0.0 if fault is None else float(fault.effect)

    def call(self, call: Call, source: str, target: str) -> Any:
        """Makes a call, unless there is a fault that answers in its place."""
        fault = self.strike("call", source, target, call.operation)
        return call.perform(call.parameters) if fault is None else fault.effect(call)
