"""A cell of the matrix: one kind of trouble at one place, and what becomes of a story in it."""

import json
import re
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum

from cdk_rehearsal import Record
from tools.demo.books import audit
from tools.demo.evidence import Evidence
from tools.demo.supplier import BUCKET
from tools.faults.catalogue import Trouble
from tools.faults.on_call import OnCall
from tools.faults.places import Place
from tools.faults.shop import Shop, UnexpectedAnswer
from tools.faults.stories import Story

_ENDS = {"confirmed", "shipped", "delivered", "rejected", "cancelled", "expired", "returned"}
_ROUNDS = 3
"""How often whoever is on call comes back, at most."""
_TRACE = 40
_UNDER_WAY = re.compile(r"parcel .* is (requested|shipped), with 0 ends|^nobody decided about")


class Verdict(StrEnum):
    """What came of a cell."""

    HELD = "held"
    """Nothing was lost, and nobody had to do anything."""
    MENDED = "mended"
    """Something was parked, and all was well once it was brought back."""
    VIOLATED = "violated"
    UNTOUCHED = "untouched"
    """The trouble never came: the cell says nothing, so it counts as a violation."""
    NOTICED = "noticed"
    """Something was lost on purpose, and the books or whoever waits for it show that."""
    IMPOSSIBLE = "n/a"


@dataclass
class Outcome:
    """How a story ended: what is compared with its end without any trouble."""

    orders: dict[str, str]
    returns: dict[str, str]

    @classmethod
    def of(cls, shop: Shop) -> "Outcome":
        """What the shop shows now."""
        return cls(shop.ends(), shop.return_ends())

    def differs_from(self, usual: "Outcome") -> list[str]:
        """What is not as usual. Whether an order expires is a matter of time alone."""
        told = []
        for order_id in sorted({*self.orders, *usual.orders}):
            here, there = self.orders.get(order_id), usual.orders.get(order_id)
            if here != there and "expired" not in (here, there):
                told.append(f"order {order_id} is {here} in the end, without the trouble {there}")
        for order_id in sorted({*self.returns, *usual.returns}):
            here, there = self.returns.get(order_id), usual.returns.get(order_id)
            if here != there and self.orders.get(order_id) != "expired":
                told.append(f"the return of {order_id} is {here}, without the trouble {there}")
        return told


@dataclass
class Result:
    """What came of a cell, with the evidence."""

    trouble: str
    place: Place
    story: str
    seed: int
    verdict: Verdict
    parked: dict[str, int] = field(default_factory=dict)
    """What waits, and where, before anything was brought back: messages and suppliers' files."""
    problems: list[str] = field(default_factory=list)
    trace: list[str] = field(default_factory=list)
    cpu_s: float = 0.0


def run(
    shop: Shop, trouble: Trouble, place: Place, story: Story, usual: Outcome, seed: int
) -> Result:
    """Tells a story in trouble, mends what is to be mended, and looks at what is left."""
    started = time.process_time()
    rehearsal = shop.rehearsal
    rehearsal.scheduler.random.seed(seed)
    begun = len(rehearsal.meter.records)
    result = Result(trouble.name, place, story.name, seed, Verdict.HELD)
    try:
        _tell(shop, trouble, place, story)
        rehearsal.faults.clear()
        result.parked = _waiting(shop)
        _look_before(shop, trouble, result)
        _mend(shop, trouble, place, story, result)
        _look_after(shop, trouble, usual, result)
    except Exception as error:
        if trouble.control and not isinstance(error, UnexpectedAnswer):
            raise  # Nobody has noticed a loss by that.
        result.problems.append(f"{type(error).__name__}: {error}")
    records = rehearsal.meter.records[begun:]
    result.verdict = _verdict(trouble, result, records)
    if result.verdict is Verdict.VIOLATED:
        result.trace = trace(records, result.problems)
    result.cpu_s = time.process_time() - started
    return result


def _verdict(trouble: Trouble, result: Result, records: list[Record]) -> Verdict:
    if trouble.planned and not any(record.kind == "fault" for record in records):
        result.problems.append("the trouble never came")
        return Verdict.UNTOUCHED
    if trouble.control:
        if result.problems or result.parked:
            return Verdict.NOTICED
        result.problems.append("what is lost here is not noticed: the story does not need it")
        return Verdict.VIOLATED
    if result.problems:
        return Verdict.VIOLATED
    return Verdict.MENDED if result.parked else Verdict.HELD


def _tell(shop: Shop, trouble: Trouble, place: Place, story: Story) -> None:
    if trouble.later:
        story.tell(shop)
    trouble.begin(shop, place)
    if not trouble.later:
        # Whoever gets no answer for long gives up for now.
        with suppress(UnexpectedAnswer):
            story.tell(shop)
    shop.settle()


def _waiting(shop: Shop) -> dict[str, int]:
    """What waits for somebody who brings it back, and is seen to wait.

    Of a notification that S3 gave up on, nothing is parked. The file itself waits, in its bucket,
    and whoever handed it in sees that no report comes.
    """
    files, executions = len(shop.unreported()), len(shop.failed())
    others = {BUCKET: files, "failed executions": executions}
    return shop.parked() | {what: count for what, count in others.items() if count}


def _mend(shop: Shop, trouble: Trouble, place: Place, story: Story, result: Result) -> None:
    trouble.end(shop, place)
    on_call = OnCall(shop)
    for _ in range(_ROUNDS):
        on_call.bring_back()
        shop.settle()
        on_call.look_after_files()
        story.tell(shop)
        shop.settle()
        if not shop.parked() and not on_call.to_start_again():
            break


def _look_before(shop: Shop, trouble: Trouble, result: Result) -> None:
    """Each order is at one end, or a parked message tells of it; nothing is parked twice."""
    evidence = _evidence(shop, trouble)
    if not result.parked:
        # Who was refused for long has not asked again yet: things may be under way.
        result.problems += [each for each in violations(evidence) if not _UNDER_WAY.search(each)]
        return
    texts = [m["body"] for messages in evidence.dead_letters.values() for m in messages]
    reports = any("BatchInfo" in text for text in texts)
    for order_id, order in evidence.orders.items():
        if order.status not in _ENDS and not reports and not any(order_id in t for t in texts):
            result.problems.append(
                f"order {order_id} is {order.status}, and no parked message tells of it"
            )
    for queue, messages in evidence.dead_letters.items():
        twice = Counter(event_id for m in messages if (event_id := _event_id(m["body"])))
        for event_id, count in twice.items():
            if count > 1:
                result.problems.append(f"event {event_id} is parked {count} times in {queue}")
    for queue, depth in evidence.waiting.items():
        if depth:
            result.problems.append(f"{depth} messages are left in {queue}")


def _look_after(shop: Shop, trouble: Trouble, usual: Outcome, result: Result) -> None:
    """Everything is as it would have been."""
    result.problems += violations(_evidence(shop, trouble))
    result.problems += [f"{n} messages stay in {path}" for path, n in shop.parked().items()]
    result.problems += [f"execution {e['name']} failed" for e in OnCall(shop).to_start_again()]
    result.problems += [f"event {event} is not in the event log" for event in shop.unlogged()]
    result.problems += Outcome.of(shop).differs_from(usual)
    result.problems += [
        f"something of {record.source} was discarded: {record.detail}"
        for record in shop.rehearsal.meter.of("discarded")
        if not record.source.startswith(BUCKET)
    ]


def _evidence(shop: Shop, trouble: Trouble) -> Evidence:
    evidence = shop.evidence()
    evidence.may_repeat = trouble.repeats
    return evidence


def violations(evidence: Evidence) -> list[str]:
    """All that the books find wrong."""
    return [fault for check in audit(evidence) for fault in check.faults]


def _event_id(body: str) -> str | None:
    try:
        return str(json.loads(body)["detail"]["id"])
    except (ValueError, KeyError, TypeError):
        return None


def trace(records: list[Record], problems: list[str]) -> list[str]:
    """What happened, as far as it concerns the orders that the problems name, and all faults."""
    words = {word.strip(",.:;") for problem in problems for word in problem.split()}
    names = {word for word in words if len(word) > 20 and "/" not in word}
    lines = []
    for record in records:
        text = f"{record.target} {record.detail}"
        if record.kind in {"fault", "dead_letter", "discarded"} or any(n in text for n in names):
            lines.append(_line(record))
    return lines[-_TRACE:]


def _line(record: Record) -> str:
    moment = time.strftime("%H:%M:%S", time.gmtime(record.time))
    detail = {
        key: value
        for key, value in record.detail.items()
        if key in {"name", "outcome", "error", "operation", "condition", "what", "status"} and value
    }
    if (event := record.detail.get("event")) is not None:
        detail["event"] = f"{event['detail-type']} {event['detail'].get('subject', '')}"
    if isinstance(error := detail.get("error"), dict):
        detail["error"] = error.get("errorType", error)
    told = " ".join(f"{key}={value}" for key, value in detail.items())
    return f"{moment} {record.kind} {record.source} -> {record.target} {told}"
