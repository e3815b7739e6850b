"""A case of the matrix: one fault at one site, during one scenario."""

import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum

from cdk_rehearsal import FaultSite, Record
from tools.demo.audit import audit
from tools.demo.evidence import Evidence
from tools.demo.supplier import BUCKET
from tools.faults.kinds import FaultKind
from tools.faults.recovery import Recovery
from tools.faults.scenarios import FaultScenario
from tools.faults.shop import RehearsedShop, UnexpectedAnswer

_FINAL = {"confirmed", "shipped", "delivered", "rejected", "cancelled", "expired", "returned"}
_RECOVERIES = 3
_TRACE_LINES = 40
_IN_PROGRESS = re.compile(
    r"parcel .* is (requested|shipped), with 0 ends|^the return of .* has no decision"
)


class Verdict(StrEnum):
    """The verdict on a case."""

    HELD = "held"
    """Nothing was lost or doubled, without any recovery."""
    RECOVERED = "recovered"
    """Something was parked, and the recovery completed it."""
    VIOLATED = "violated"
    INACTIVE = "inactive"
    """The fault never acted. The case proves nothing, so it counts as a violation."""
    DETECTED = "detected"
    """Something was lost on purpose, and the audit or a client detects the loss."""
    IMPOSSIBLE = "n/a"


@dataclass
class EndState:
    """The final statuses of orders and returns, compared with those without a fault."""

    orders: dict[str, str]
    returns: dict[str, str]
    synthetic: frozenset[str] = frozenset()
    """The statuses of synthetic orders: their number depends on how much time passes."""

    @classmethod
    def of(cls, shop: RehearsedShop) -> "EndState":
        """Returns the current statuses."""
        unpaid = {event.subject for event in shop.on_bus("AuthorizationExpiring.v1")}
        statuses = {
            order_id: "unpaid" if status == "cancelled" and order_id in unpaid else status
            for order_id, status in shop.order_statuses().items()
        }
        synthetic = shop.order_statuses(synthetic=True).values()
        return cls(statuses, shop.return_states(), frozenset(synthetic))

    def differences(self, expected: "EndState", *allowed: str) -> list[str]:
        """Returns the differences, except orders that end in an `allowed` status.

        Timing alone decides whether an order expires, or is cancelled because its parcel did not
        leave while the money was held.
        """
        found = []
        allowed = ("expired", "unpaid", *allowed)
        for order_id in sorted({*self.orders, *expected.orders}):
            here, there = self.orders.get(order_id), expected.orders.get(order_id)
            if here != there and here not in allowed and there != "expired":
                found.append(f"order {order_id} ends as {here}, but as {there} without the fault")
        for order_id in sorted({*self.returns, *expected.returns}):
            here, there = self.returns.get(order_id), expected.returns.get(order_id)
            if here != there and self.orders.get(order_id) not in allowed:
                found.append(
                    f"the return of {order_id} ends as {here}, but as {there} without the fault"
                )
        unexpected = self.synthetic - expected.synthetic - {*allowed}
        if unexpected or bool(self.synthetic) is not bool(expected.synthetic):
            statuses, others = sorted(self.synthetic), sorted(expected.synthetic)
            found.append(f"synthetic orders end as {statuses}, but as {others} without the fault")
        return found


@dataclass
class CaseResult:
    """The verdict on a case, with its reasons."""

    fault: str
    site: FaultSite
    scenario: str
    seed: int
    verdict: Verdict
    parked: dict[str, int] = field(default_factory=dict)
    """What waited for a recovery, by path: messages, executions and suppliers' files."""
    problems: list[str] = field(default_factory=list)
    trace: list[str] = field(default_factory=list)
    cpu_s: float = 0.0


@dataclass(frozen=True)
class Case:
    """A fault kind, a site, a scenario, and the end state of the scenario without the fault."""

    kind: FaultKind
    site: FaultSite
    scenario: FaultScenario
    expected: EndState

    def run(self, shop: RehearsedShop, seed: int) -> CaseResult:
        """Runs the scenario with the fault, recovers, and audits the shop."""
        started = time.process_time()
        rehearsal = shop.rehearsal
        rehearsal.scheduler.random.seed(seed)
        begun = len(rehearsal.meter.records)
        result = self.result(Verdict.HELD, seed)
        try:
            self._run_scenario(shop)
            rehearsal.faults.clear()
            result.parked = _waiting(shop)
            result.problems += self._problems_before_recovery(shop, result)
            self._recover(shop)
            result.problems += self._problems_after_recovery(shop)
        except Exception as error:
            if self.kind.control and not isinstance(error, UnexpectedAnswer):
                raise  # This error does not detect the loss.
            result.problems.append(f"{type(error).__name__}: {error}")
        records = rehearsal.meter.records[begun:]
        if self.kind.refused:
            result.problems += _not_refused(records)
        result.verdict = self._verdict(result, records)
        if result.verdict is Verdict.VIOLATED:
            result.trace = trace(records, result.problems)
        result.cpu_s = time.process_time() - started
        return result

    def result(self, verdict: Verdict, seed: int, *problems: str) -> CaseResult:
        """Returns a result of this case."""
        name = self.scenario.name
        return CaseResult(self.kind.name, self.site, name, seed, verdict, problems=[*problems])

    def _verdict(self, result: CaseResult, records: list[Record]) -> Verdict:
        if self.kind.injected and not any(record.kind == "fault" for record in records):
            result.problems.append("the fault never acted")
            return Verdict.INACTIVE
        if self.kind.control:
            if result.problems or result.parked:
                return Verdict.DETECTED
            result.problems.append("the loss is not detected: add a scenario that needs the site")
            return Verdict.VIOLATED
        if result.problems:
            return Verdict.VIOLATED
        return Verdict.RECOVERED if result.parked else Verdict.HELD

    def _run_scenario(self, shop: RehearsedShop) -> None:
        if self.kind.later:
            self.scenario.run(shop)
        self.kind.begin(shop, self.site)
        if not self.kind.later:
            # A client without an answer gives up until after the recovery.
            with suppress(UnexpectedAnswer):
                self.scenario.run(shop)
        shop.settle()

    def _recover(self, shop: RehearsedShop) -> None:
        self.kind.end(shop, self.site)
        recovery = Recovery(shop)
        if shop.stripe:
            shop.stripe.resend()
        for _ in range(_RECOVERIES):
            recovery.redrive()
            shop.settle()
            recovery.resubmit_files()
            self.scenario.run(shop)
            shop.settle()
            if not shop.parked() and not recovery.failed_executions():
                break

    def _problems_before_recovery(self, shop: RehearsedShop, result: CaseResult) -> list[str]:
        """Each order is final or named by a parked message, and nothing is parked twice."""
        evidence = self._evidence(shop)
        if not result.parked:
            # Clients that gave up have not repeated their requests yet.
            return [each for each in violations(evidence) if not _IN_PROGRESS.search(each)]
        problems = []
        texts = [m["body"] for messages in evidence.dead_letters.values() for m in messages]
        reports = any("BatchInfo" in text for text in texts)
        for order_id, order in evidence.orders.items():
            if order.status not in _FINAL and not reports and not any(order_id in t for t in texts):
                problems.append(
                    f"order {order_id} is {order.status}, but no parked message names it"
                )
        for queue, messages in evidence.dead_letters.items():
            counts = Counter(event_id for m in messages if (event_id := _event_id(m["body"])))
            for event_id, count in counts.items():
                if count > 1:
                    problems.append(f"event {event_id} is parked {count} times in {queue}")
        return problems + [
            f"{depth} messages are left in {queue}"
            for queue, depth in evidence.waiting.items()
            if depth
        ]

    def _problems_after_recovery(self, shop: RehearsedShop) -> list[str]:
        """Everything is as without the fault."""
        return [
            *violations(self._evidence(shop)),
            *unrecovered(shop, Recovery(shop)),
            *(f"event {event} is not in the event log" for event in shop.unlogged()),
            *EndState.of(shop).differences(
                self.expected, *(("rejected",) if self.kind.rejects else ())
            ),
            *(
                f"{record.source} discarded something: {record.detail}"
                for record in shop.rehearsal.meter.of("discarded")
                if not record.source.startswith(BUCKET)
            ),
        ]

    def _evidence(self, shop: RehearsedShop) -> Evidence:
        evidence = shop.evidence()
        evidence.may_repeat = self.kind.repeats
        return evidence


def _not_refused(records: list[Record]) -> Iterator[str]:
    for record in records:
        if record.kind == "request" and "fault" in record.detail and record.detail["status"] != 401:
            detail = record.detail
            yield f"{detail['route']}: {detail['fault']}, but answered {detail['status']}, not 401"


def _waiting(shop: RehearsedShop) -> dict[str, int]:
    """Returns what visibly waits for a recovery.

    S3 parks nothing if it gives up on a notification. Then the file itself waits in its bucket, and
    the supplier misses the report.
    """
    files, executions = len(shop.unreported_files()), len(shop.failed_executions())
    undelivered = len(shop.stripe.undelivered) if shop.stripe else 0
    others = {
        BUCKET: files,
        "failed executions": executions,
        "events of the payment provider": undelivered,
    }
    return shop.parked() | {what: count for what, count in others.items() if count}


def violations(evidence: Evidence) -> list[str]:
    """Returns the findings of the audit."""
    return [finding for check in audit(evidence) for finding in check.findings]


def unrecovered(shop: RehearsedShop, recovery: Recovery) -> list[str]:
    """Returns the messages and executions that the recovery did not complete."""
    return [
        *(f"{count} messages stay in {path}" for path, count in shop.parked().items()),
        *(f"execution {each['name']} failed" for each in recovery.failed_executions()),
    ]


def _event_id(body: str) -> str | None:
    try:
        return str(json.loads(body)["detail"]["id"])
    except (ValueError, KeyError, TypeError):
        return None


def trace(records: list[Record], problems: list[str]) -> list[str]:
    """Returns the records about faults, parked messages and the orders that the problems name."""
    words = {word.strip(",.:;") for problem in problems for word in problem.split()}
    names = {word for word in words if len(word) > 20 and "/" not in word}
    lines = []
    for record in records:
        text = f"{record.target} {record.detail}"
        if record.kind in {"fault", "dead_letter", "discarded"} or any(n in text for n in names):
            lines.append(_line(record))
    return lines[-_TRACE_LINES:]


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
    text = " ".join(f"{key}={value}" for key, value in detail.items())
    return f"{moment} {record.kind} {record.source} -> {record.target} {text}"
