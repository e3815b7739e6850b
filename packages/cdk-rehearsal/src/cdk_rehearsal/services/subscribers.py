"""Subscribers of a Custom Event Bus: which events they get, in which batches, and what fails."""

import json
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from cdk_rehearsal.authorization.decisions import Denied
from cdk_rehearsal.core import Core
from cdk_rehearsal.limits import LIMITS
from cdk_rehearsal.services.bus_events import BusEvent, SubscriberFilter, Transformation
from cdk_rehearsal.services.deliveries import DeliveryFailed, check_faults
from cdk_rehearsal.services.subscriber_targets import (
    SERVICE,
    Delivery,
    Failures,
    Item,
    Kind,
    Targets,
    failed,
    shown,
)
from cdk_rehearsal.services.texts import iso_seconds

# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-retry.html
RETRIES = 5
MAX_AGE_S = 300
# The pauses between retries are not documented; these are those of the classic bus.
_BACKOFF_S = (1.0, 600.0)


class Subscriber:
    """A subscriber at work. Its configuration has the members of CreateSubscriber.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-subscribers.html
    """

    def __init__(
        self, core: Core, targets: Targets, kind: Kind, arn: str, configuration: dict[str, Any]
    ) -> None:
        self._core = core
        self._targets = targets
        self._kind = kind
        self.arn = arn
        self.configuration = configuration
        self.created = self.modified = core.scheduler.now()
        self.revoked = False
        self.position = 0
        """The number of the next event that it reads."""
        self.live_from = 0
        """The number of the first event that it does not read from the past."""
        self.end: float | None = None
        """The time at which it ends, if it reads a span of time."""
        self.filter_changes: list[float] = []
        self._waiting: deque[Delivery] = deque()
        self._due: dict[str, float] = {}
        self._busy: set[str] = set()
        self.configure()

    def configure(self) -> None:
        """Takes the configuration into effect. Raises ValueError if EventBridge would refuse it."""
        stated = self.configuration
        self._filter = SubscriberFilter(stated.get("FilterConfiguration"))
        self._transformation = Transformation(stated.get("Transformer"), self._targets.evaluate)

    # -- what it is -----------------------------------------------------------------------

    @property
    def path(self) -> str:
        """Its construct path; its ARN if no template has it."""
        return self._core.path_of(self.arn)

    @property
    def bus(self) -> str:
        """The ARN of its bus."""
        return str(self.configuration["EventBusArn"])

    @property
    def role(self) -> str:
        """The ARN of the role that EventBridge assumes."""
        return str(self.configuration["InvokeConfiguration"]["RoleArn"])

    @property
    def target(self) -> str:
        """The ARN of its target."""
        return str(self.configuration["InvokeConfiguration"]["TargetArn"])

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The parameters of its target."""
        found = self.configuration["InvokeConfiguration"].get(self._kind.parameters or "")
        return found or {}

    @property
    def batch_size(self) -> int:
        """The most events that one call carries."""
        return int(self._batching.get("MaxBatchSize", self._kind.default))

    @property
    def is_ordered(self) -> bool:
        """Whether events of a group are delivered in order."""
        return self.configuration.get("Type") == "FIFO"

    @property
    def is_running(self) -> bool:
        """Whether it delivers: it is neither stopped nor revoked."""
        return self.configuration.get("State", "RUNNING") == "RUNNING" and not self.revoked

    @property
    def is_replaying(self) -> bool:
        """Whether it still reads events from the past, or a span of time."""
        return self.end is not None or self.position < self.live_from

    @property
    def _batching(self) -> Mapping[str, Any]:
        return self.configuration.get("BatchConfiguration") or {}

    # -- reading --------------------------------------------------------------------------

    def read(self, events: Iterable[BusEvent]) -> None:
        """Takes the events from its position on that match, and sends them on their way."""
        matched: list[Delivery] = []
        now = self._core.scheduler.now()
        for event in events:
            if self.end is not None and event.ingested >= self.end:
                break
            self.position = event.number + 1
            kind = "REPLAY" if event.number < self.live_from else "LIVE"
            if self._filter.matches(event, kind):
                matched.append(Delivery(event, kind, now))
        if matched:
            self._send_off(matched)

    def skip(self, position: int) -> None:
        """Forgets its backlog, and goes on from a position."""
        self.position = self.live_from = position
        self._waiting.clear()

    def _send_off(self, deliveries: list[Delivery]) -> None:
        core = self._core
        target, now = core.path_of(self.target), core.scheduler.now()
        together = core.draw(core.latency.event_bus_s)
        leaving: dict[float, list[Delivery]] = {}
        for delivery in deliveries:
            ways = core.faults.way(self.path, target)
            if self.is_ordered:
                # What is late holds up its group; and each event is handed over once.
                group = delivery.event.group
                due = max(self._due.get(group, 0.0), now + together + max(ways))
                self._due[group] = due
                leaving.setdefault(due, []).append(delivery)
                continue
            for late in ways:
                copy = Delivery(delivery.event, delivery.kind, now)
                leaving.setdefault(now + together + late, []).append(copy)
        for moment, several in leaving.items():
            core.scheduler.call_at(moment, self._arrive, several)

    def _arrive(self, deliveries: list[Delivery]) -> None:
        self._waiting.extend(deliveries)
        self.pump()

    # -- batches --------------------------------------------------------------------------

    def pump(self) -> None:
        """Starts all batches that are complete, or have waited long enough.

        https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-batching.html
        """
        while self.is_running and self._waiting:
            ready = [each for each in self._waiting if each.event.group not in self._busy]
            if not ready:
                return
            wait = ready[0].started + self._window_s - self._core.scheduler.now()
            if wait > 0 and len(ready) < self.batch_size:
                self._core.scheduler.call_later(wait, self.pump)
                return
            batch = self._bounded(ready)
            for delivery in batch:
                self._waiting.remove(delivery)
            if self.is_ordered:
                self._busy.update(delivery.event.group for delivery in batch)
            self._start(batch)

    @property
    def _window_s(self) -> float:
        return float(self._batching.get("MaxBatchWindowInSeconds", 0))

    def _bounded(self, ready: list[Delivery]) -> list[Delivery]:
        """Returns what fits into one call."""
        batch: list[Delivery] = []
        bounded = self._kind.name in ("sqs", "sns")
        left = LIMITS["eventbridgev2.batch_bytes"] if bounded else None
        for delivery in ready[: self.batch_size]:
            if left is not None:
                left -= len(delivery.event.text.encode())
                if batch and left < 0:
                    break
            batch.append(delivery)
        return batch

    def _start(self, batch: list[Delivery]) -> None:
        if not self.is_running:
            # It was stopped before a retry: the events wait, in their order.
            self._busy.difference_update(each.event.group for each in batch)
            self._waiting.extendleft(reversed(batch))
        elif self._kind.waits:
            self._core.scheduler.spawn(
                self._attempt, batch, name=f"delivery by {self.path}", critical=True
            )
        else:
            self._attempt(batch)

    # -- attempts -------------------------------------------------------------------------

    def _attempt(self, batch: list[Delivery]) -> None:
        for delivery in batch:
            delivery.attempts += 1
        try:
            failures = self._call(batch)
        except DeliveryFailed as error:
            failures = [(delivery, error) for delivery in batch]
        refused = {delivery for delivery, _ in failures}
        for delivery in batch:
            if delivery not in refused:
                self._report(delivery, "delivered")
        together: dict[str, Failures] = {}
        for delivery, failure in failures:
            self._report(delivery, "failed", error=failure.code)
            together.setdefault(failure.code, []).append((delivery, failure))
        left = self._retried([*together.values()])
        if self.is_ordered:
            self._busy.difference_update(each.event.group for each in batch)
            self._busy.update(each.event.group for each in left)
        self.pump()

    def _call(self, batch: list[Delivery]) -> Failures:
        check_faults(
            self._core,
            self.path,
            self._core.path_of(self.target),
            gone="RESOURCE_NOT_FOUND",
            failed="INVOCATION_DEPENDENCY_INTERNAL",
        )
        failures: Failures = []
        items: list[Item] = []
        for delivery in batch:
            try:
                items.append((delivery, self._transformation.apply(delivery.event, delivery.kind)))
            except ValueError as error:
                failures.append((delivery, failed("INPUT_TRANSFORMATION_FAILURE", str(error))))
        broken = {delivery.event.group for delivery, _ in failures} if self.is_ordered else set()
        held = [item for item in items if item[0].event.group in broken]
        failures += [(delivery, failed("PARTIAL_BATCH_FAILURE")) for delivery, _ in held]
        items = [item for item in items if item[0].event.group not in broken]
        return failures + (self._targets.call(self._kind, self, items) if items else [])

    def _retried(self, several: list[Failures]) -> list[Delivery]:
        """Plans the next attempt for what failed together; returns what is still to be delivered.

        The number of attempts counts before the age, which begins when an event is read: it could
        be replayed only for a day otherwise.
        https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-retry.html
        """
        policy = self.configuration.get("RetryPolicy") or {}
        retries = policy.get("MaxRetryAttempts", RETRIES)
        max_age_s = policy.get("MaxEventAgeInSeconds", MAX_AGE_S)
        scheduler = self._core.scheduler
        left: list[Delivery] = []
        for failures in several:
            attempts = max(delivery.attempts for delivery, _ in failures)
            shortest, longest = _BACKOFF_S
            delay = min(longest, shortest * 2 ** min(attempts - 1, 16))
            delay *= scheduler.random.uniform(0.5, 1.0)
            again: list[Delivery] = []
            exhausted: dict[str, Failures] = {}
            for delivery, failure in failures:
                if delivery.attempts > retries:
                    exhausted.setdefault("MaximumRetryAttempts", []).append((delivery, failure))
                elif scheduler.now() + delay > delivery.started + max_age_s:
                    exhausted.setdefault("MaximumEventAgeInSeconds", []).append((delivery, failure))
                else:
                    again.append(delivery)
            for condition, given_up in exhausted.items():
                self._give_up(given_up, condition)
            if again:
                scheduler.call_later(delay, self._start, again)
                left += again
        return left

    # -- dead letters ---------------------------------------------------------------------

    def _give_up(self, failures: Failures, condition: str) -> None:
        """Writes a record of events that could not be delivered; without a queue they are dropped.

        https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-retry.html
        """
        arn = (self.configuration.get("OnFailureConfiguration") or {}).get("Arn")
        groups: dict[str, Failures] = {}
        for delivery, failure in failures:
            # In a FIFO queue a record belongs to one group.
            group = delivery.event.group if arn and arn.endswith(".fifo") else ""
            groups.setdefault(group, []).append((delivery, failure))
        for group, several in groups.items():
            written = arn is not None and self._write_record(arn, several, condition, group)
            for index, (delivery, _) in enumerate(several):
                self._core.meter.add(
                    "dead_letter" if written else "discarded",
                    self.path,
                    self._core.path_of(str(arn)) if written else "nowhere",
                    condition=condition,
                    event=shown(delivery.event),
                    refused=arn is not None and not written,
                    records=1 if index == 0 else 0,
                    bus=self.bus,
                    subscriber=self.arn,
                )

    def _write_record(self, arn: str, failures: Failures, condition: str, group: str) -> bool:
        """Sends a record as the subscriber's role; returns whether the queue took it."""
        access, failure = self._core.access, failures[0][1]
        queues = self._targets.queues
        try:
            if arn not in queues or not access.is_assumable(
                self.role, service=SERVICE, source_arn=self.arn
            ):
                return False
            access.authorize(access.session(self.role, "events"), "sqs:SendMessage", arn)
        except Denied:
            return False
        retries = max(delivery.attempts for delivery, _ in failures) - 1
        record = {
            "version": "1.0",
            "busArn": self.bus,
            "subscriberArn": self.arn,
            "targetArn": self.target,
            "errorCode": failure.code,
            "errorMessage": str(failure),
            "exhaustedRetryCondition": condition,
            "retryAttempts": retries,
            "failedMessages": [
                {
                    "eventId": delivery.event.id,
                    "eventGroupId": delivery.event.system.get("EventGroupId"),
                    "deduplicationId": delivery.event.system.get("DeduplicationId"),
                    "timestamp": iso_seconds(delivery.event.ingested),
                    "targetRequestId": "",
                }
                for delivery, _ in failures
            ],
        }
        attributes = {
            "ERROR_CODE": failure.code,
            "ERROR_MESSAGE": str(failure),
            "SUBSCRIBER_ARN": self.arn,
            "TARGET_ARN": self.target,
            "BUS_ARN": self.bus,
            "EXHAUSTED_RETRY_CONDITION": condition,
            "RETRY_ATTEMPTS": str(retries),
        }
        # A FIFO queue takes no message without a group.
        fifo = group or failures[0][0].event.id if arn.endswith(".fifo") else None
        queues.by_arn(arn).send(json.dumps(record), attributes, group=fifo)
        return True

    def _report(self, delivery: Delivery, outcome: str, **detail: Any) -> None:
        self._core.meter.add(
            "delivery",
            self.path,
            self._core.path_of(self.target),
            outcome=outcome,
            event=shown(delivery.event),
            attempt=delivery.attempts,
            bus=self.bus,
            subscriber=self.arn,
            **detail,
        )
