"""EventBridge: from PutEvents through the rules to their targets, and into archives."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError
from moto.events.exceptions import ValidationException
from moto.events.models import (
    Archive,
    EventsBackend,
    Replay,
    ReplayState,
    Rule,
    events_backends,
)
from moto.kinesis.exceptions import InvalidArgumentError, StreamNotFoundError
from moto.logs.models import logs_backends
from moto.sns.exceptions import InvalidParameterValue

from cdk_rehearsal.authorization.decisions import Denied
from cdk_rehearsal.core import Core
from cdk_rehearsal.errors import RehearsalError
from cdk_rehearsal.limits import LIMITS
from cdk_rehearsal.patterns import EventPattern, PatternError
from cdk_rehearsal.sandbox.patching import Patches
from cdk_rehearsal.services.deliveries import THROTTLED, DeliveryFailed, check_faults
from cdk_rehearsal.services.functions import PayloadTooLarge
from cdk_rehearsal.services.invocation import LambdaService
from cdk_rehearsal.services.queues import Queues
from cdk_rehearsal.services.recurrence import InvalidExpression, parse
from cdk_rehearsal.services.sns import Topics
from cdk_rehearsal.services.streams import Streams
from cdk_rehearsal.services.texts import iso_seconds
from cdk_rehearsal.target_inputs import InputTransformer, JsonPath, target_input
from cdk_rehearsal.virtual_time.agenda import Timer

# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-retry-policy.html
_BACKOFF_S = (1.0, 600.0)
_SERVICE = "events.amazonaws.com"
_INVOCATIONS = "events.invocations_per_second"


@dataclass
class _Delivery:
    """One event on its way to one target of one rule."""

    rule: Rule
    rule_path: str
    target: dict[str, Any]
    event: dict[str, Any]
    text: str
    started: float
    attempts: int = 0
    queued: str | None = None
    """The id of its message in the target, a queue."""


class EventBus:
    """The rules of all buses at work; moto keeps buses, rules and archives themselves."""

    def __init__(
        self, core: Core, lambdas: LambdaService, queues: Queues, streams: Streams, topics: Topics
    ) -> None:
        self._core = core
        self._scheduler = core.scheduler
        self._lambdas = lambdas
        self._queues = queues
        self._streams = streams
        self._topics = topics
        self._patterns: dict[str | None, EventPattern] = {}
        self._transformers: dict[str, InputTransformer] = {}
        self._timers: dict[str, Timer] = {}
        self.forward: Callable[[str, dict[str, Any]], None] = _forward_nowhere
        """Puts an event on a Custom Event Bus."""
        self.listeners: list[Callable[[dict[str, Any]], None]] = []
        """Called with each event that an AWS service sends to the default bus."""
        self.idle: set[str] = set()
        """Targets that take events and do nothing: stand-ins."""

    @property
    def _backend(self) -> Any:
        return events_backends[self._core.account][self._core.region]

    def __contains__(self, arn: str) -> bool:
        return any(bus.arn == arn for bus in self._backend.event_buses.values())

    def install(self, patches: Patches) -> None:
        """Lets moto's buses route, and its replays repeat, through the rehearsal."""

        def put_events(_: EventsBackend, events: list[dict[str, Any]]) -> list[Any]:
            return self.put_events(events, self._core.caller())

        def replay_events(replay: Replay, archive: Archive) -> None:
            self.replay(replay, archive)

        put_rule = EventsBackend.put_rule

        def rule_put(backend: EventsBackend, *args: Any, **options: Any) -> Any:
            rule = put_rule(backend, *args, **options)
            self._plan(rule)
            return rule

        patches.set(EventsBackend, "put_rule", rule_put)
        patches.set(EventsBackend, "put_events", put_events)
        patches.set(Replay, "replay_events", replay_events)

    def put_events(self, entries: list[dict[str, Any]], source: str) -> list[dict[str, Any]]:
        """Takes the entries of a PutEvents request; returns what it answers for each.

        ``source`` is who publishes. Raises moto's ValidationException for more than ten entries
        or 1 MB: https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html
        """
        if len(entries) > (most := LIMITS["events.put_entries"]):
            raise ValidationException(
                "1 validation error detected: Value '[PutEventsRequestEntry]' at 'entries' failed "
                f"to satisfy constraint: Member must have length less than or equal to {most}"
            )
        if sum(_entry_size(entry) for entry in entries) > LIMITS["events.put_bytes"]:
            raise ValidationException("Total size of the entries in the request is over the limit.")
        return [self._put(entry, source) for entry in entries]

    def _put(self, entry: dict[str, Any], source: str) -> dict[str, Any]:
        for name in ("Source", "DetailType", "Detail"):
            if not entry.get(name):
                return _refused(
                    "InvalidArgument",
                    f"Parameter {name} is not valid. Reason: {name} is a required argument.",
                )
        if len(entry["DetailType"]) > (most := LIMITS["events.detail_type_characters"]):
            return _refused(
                "InvalidArgument",
                f"Parameter DetailType is not valid. Reason: DetailType is over {most} characters.",
            )
        if entry["Source"].startswith("aws."):
            return _refused("NotAuthorizedForSourceException", "Not authorized for the source.")
        try:
            detail = json.loads(entry["Detail"])
        except ValueError:
            detail = None
        if not isinstance(detail, dict):
            return _refused("MalformedDetail", "Detail is malformed.")
        backend = self._backend
        bus = backend.describe_event_bus(
            backend._normalize_event_bus_arn(entry.get("EventBusName"))
        )
        moment = float(entry.get("Time") or self._scheduler.now())
        resources = entry.get("Resources") or []
        event = self._event(entry["Source"], entry["DetailType"], detail, resources, moment)
        self._core.meter.add("published", source, self._core.path_of(bus.arn), event=event)
        self._take(bus, event)
        return {"EventId": event["id"]}

    def _event(
        self, source: str, detail_type: str, detail: Any, resources: list[str], moment: float
    ) -> dict[str, Any]:
        return {
            "version": "0",
            "id": self._core.new_id(),
            "detail-type": detail_type,
            "source": source,
            "account": self._core.account,
            "time": iso_seconds(moment),
            "region": self._core.region,
            "resources": resources,
            "detail": detail,
        }

    def _take(self, bus: Any, event: dict[str, Any]) -> None:
        """Archives an event, and sends it to the targets of the bus's rules."""
        for archive in self._backend.archives.values():
            if archive.event_bus_name == bus.name and self._matches(archive.event_pattern, event):
                archive.events.append(event)
        self.route(bus.rules.values(), event)

    def take_forwarded(self, arn: str, event: dict[str, Any]) -> None:
        """Takes an event that a subscriber of a Custom Event Bus forwards: a new event here.

        https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-target-bus.html
        """
        bus = self._backend.describe_event_bus(arn.rsplit("/", 1)[-1])
        again = {**event, "id": self._core.new_id()}
        self._core.meter.add("published", "events", self._core.path_of(bus.arn), event=again)
        self._take(bus, again)

    def put_service_event(
        self, source: str, detail_type: str, detail: dict[str, Any], *, resources: list[str]
    ) -> None:
        """Takes an event that an AWS service sends to the account's default bus.

        https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-service-event.html
        """
        bus = self._backend.describe_event_bus("default")
        event = self._event(source, detail_type, detail, resources, self._scheduler.now())
        self._take(bus, event)
        for hear in self.listeners:
            hear(event)

    # -- scheduled rules ------------------------------------------------------------------

    def _plan(self, rule: Rule) -> None:
        """Lets a rule act at its times; an update replaces them.

        The times of a rate are counted from now on.
        https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html
        """
        if (timer := self._timers.pop(rule.arn, None)) is not None:
            timer.cancel()
        if rule.scheduled_expression:
            try:
                recurrence = parse(rule.scheduled_expression)
            except InvalidExpression:
                recurrence = None
            if recurrence is None or rule.scheduled_expression.startswith("at("):
                raise ValidationException("Parameter ScheduleExpression is not valid.")
            now = self._scheduler.now()
            times = (moment for moment in recurrence.times(now) if moment > now)
            self._wait(rule, times)

    def _wait(self, rule: Rule, times: Iterator[float]) -> None:
        moment = next(times, None)
        if moment is not None:
            delay = self._core.draw(self._core.latency.schedule_s)
            self._timers[rule.arn] = self._scheduler.call_at(
                moment + delay, self._fire, rule, moment, times, daemon=True
            )

    def _fire(self, rule: Rule, moment: float, times: Iterator[float]) -> None:
        bus = self._backend.event_buses.get(rule.event_bus_name)
        if bus is None or bus.rules.get(rule.name) is not rule:
            return  # It was deleted.
        self._wait(rule, times)
        if rule.state == "ENABLED":
            event = self._event("aws.events", "Scheduled Event", {}, [rule.arn], moment)
            text = json.dumps(event, separators=(",", ":"))
            path = self._core.path_of(rule.arn)
            for target in rule.targets:
                self._send_off(_Delivery(rule, path, target, event, text, 0.0))

    def put_invocation_record(self, arn: str, record: dict[str, Any]) -> None:
        """Takes the record of an asynchronous invocation whose destination is a bus.

        https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
        """
        succeeded = record["requestContext"]["condition"] == "Success"
        bus = self._backend.describe_event_bus(arn.rsplit("/", 1)[-1])
        event = self._event(
            "lambda",
            f"Lambda Function Invocation Result - {'Success' if succeeded else 'Failure'}",
            record,
            [arn, record["requestContext"]["functionArn"]],
            self._scheduler.now(),
        )
        self._core.meter.add("published", "lambda", self._core.path_of(bus.arn), event=event)
        self._take(bus, event)

    def route(self, rules: Iterable[Rule], event: dict[str, Any]) -> None:
        """Sends an event to the targets of those rules that match it."""
        text = json.dumps(event, separators=(",", ":"), ensure_ascii=False)
        for rule in list(rules):
            if (
                rule.state == "ENABLED"
                and rule.managed_by is None
                and rule.event_pattern.dump()  # It is no mere schedule.
                and self._matches(rule.event_pattern, event)
            ):
                path = self._core.path_of(rule.arn)
                for target in rule.targets:
                    self._send_off(_Delivery(rule, path, target, event, text, 0.0))

    def _send_off(self, delivery: _Delivery) -> None:
        target = self._core.path_of(delivery.target["Arn"])
        for late in self._core.faults.way(delivery.rule_path, target):
            copy = replace(delivery, started=self._scheduler.now())
            delay = late + self._core.draw(self._core.latency.event_bus_s)
            self._attempt_later(delay + self._core.rates.wait(_INVOCATIONS), copy)

    def _attempt_later(self, delay: float, delivery: _Delivery) -> None:
        """Plans an attempt: as a process if it calls an API, and so takes time."""
        if delivery.target["Arn"].split(":")[2] == "states":
            name, at = f"delivery by {delivery.rule_path}", self._scheduler.now() + delay
            self._scheduler.spawn(self._attempt, delivery, name=name, at=at, critical=True)
        else:
            self._scheduler.call_later(delay, self._attempt, delivery)

    def replay(self, replay: Replay, archive: Archive) -> None:
        """Sends archived events of a span of time through their bus once more.

        The events carry ``replay-name``, and archives do not take them again:
        https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-replay-archived-event.html
        """
        bus = self._backend.describe_event_bus(archive.event_bus_name)
        wanted = replay.destination.get("FilterArns") or []
        rules = [rule for rule in bus.rules.values() if not wanted or rule.arn in wanted]
        start, end = float(replay.event_start_time), float(replay.event_end_time)
        for event in list(archive.events):
            moment = datetime.fromisoformat(str(event["time"])).timestamp()
            if start <= moment <= end:
                again: dict[str, Any] = {**event, "replay-name": replay.name}
                self.route(rules, again)
        replay.state = ReplayState.COMPLETED
        replay.end_time = self._scheduler.now()

    def _matches(self, moto_pattern: Any, event: dict[str, Any]) -> bool:
        text = moto_pattern.dump()
        if not text:
            return True
        if text not in self._patterns:
            self._patterns[text] = EventPattern(json.loads(text))
        return self._patterns[text].matches(event)

    # -- targets --------------------------------------------------------------------------

    def _attempt(self, delivery: _Delivery) -> None:
        """Tries to deliver once; after a failure, plans the next try or gives up.

        https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html
        """
        delivery.attempts += 1
        arn = delivery.target["Arn"]
        try:
            self._deliver(delivery, arn)
        except DeliveryFailed as failure:
            self._failed(delivery, failure)
        except (PatternError, PayloadTooLarge) as error:
            self._failed(delivery, DeliveryFailed("INVALID_PARAMETER", str(error)))
        else:
            queued = {"queued": delivery.queued} if delivery.queued else {}
            self._report(delivery, "delivered", **queued)

    def _failed(self, delivery: _Delivery, failure: DeliveryFailed) -> None:
        policy = delivery.target.get("RetryPolicy", {})
        retries = policy.get("MaximumRetryAttempts", LIMITS["events.retries"])
        expires = delivery.started + policy.get(
            "MaximumEventAgeInSeconds", LIMITS["events.event_age_s"]
        )
        shortest, longest = _BACKOFF_S
        delay = min(longest, shortest * 2 ** min(delivery.attempts - 1, 16))
        delay *= self._scheduler.random.uniform(0.5, 1.0)
        self._report(delivery, "failed", error=failure.code)
        if failure.retriable:
            if delivery.attempts > retries:
                self._give_up(delivery, failure, "MaximumRetryAttempts")
            elif self._scheduler.now() + delay > expires:
                self._give_up(delivery, failure, "MaximumEventAgeInSeconds")
            else:
                self._attempt_later(delay, delivery)
        else:
            self._give_up(delivery, failure, None)

    def _give_up(self, delivery: _Delivery, failure: DeliveryFailed, exhausted: str | None) -> None:
        """Sends an event that could not be delivered to the target's dead-letter queue.

        https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html
        """
        arn = delivery.target.get("DeadLetterConfig", {}).get("Arn")
        condition = exhausted or failure.code
        queue = self._queues.by_arn(arn) if arn else None
        if (
            queue is None
            or not queue.admits(_SERVICE, delivery.rule.arn)
            or not queue.takes(delivery.text)
        ):
            self._core.meter.add(
                "discarded",
                delivery.rule_path,
                "nowhere",
                condition=condition,
                event=delivery.event,
                refused=arn is not None,
            )
            return
        attributes = {
            "RULE_ARN": delivery.rule.arn,
            "TARGET_ARN": delivery.target["Arn"],
            "ERROR_CODE": failure.code,
            "ERROR_MESSAGE": str(failure),
            "RETRY_ATTEMPTS": str(delivery.attempts - 1),
        }
        if exhausted is not None:
            attributes["EXHAUSTED_RETRY_CONDITION"] = exhausted
        queue.send(delivery.text, attributes)
        self._core.meter.add(
            "dead_letter",
            delivery.rule_path,
            self._core.path_of(arn),
            condition=condition,
            event=delivery.event,
        )

    def _deliver(self, delivery: _Delivery, arn: str) -> None:
        """Hands the event, as the target wants it, to what ``arn`` names."""
        check_faults(
            self._core,
            delivery.rule_path,
            self._core.path_of(arn),
            gone="NO_RESOURCE",
            failed="SDK_CLIENT_ERROR",
        )
        service = arn.split(":")[2]
        text = self._text(delivery)
        if service == "sqs":
            self._send(delivery, arn, text)
        elif service == "lambda":
            function = self._lambdas.functions[arn]
            self._check(delivery, "lambda:InvokeFunction", arn)
            self._lambdas.invoke_async(function, text, source=delivery.rule_path)
        elif service == "logs":
            self._log(delivery, arn, text)
        elif service == "states":
            self._check(delivery, "states:StartExecution", arn)
            self._start(arn, text)
        elif service == "sns":
            self._publish(delivery, arn, text)
        elif service == "kinesis":
            self._put_record(delivery, arn, text)
        elif service == "events":
            self._put_on_bus(delivery, arn)
        elif arn not in self.idle:
            raise RehearsalError(f"rule {delivery.rule_path}: unknown target {arn}")

    def _put_on_bus(self, delivery: _Delivery, arn: str) -> None:
        if ":event-busv2/" in arn:
            # Pages differ on which of the two a role needs.
            # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-sharing.html
            for action in ("events:PutEvents", "events:PutRawEvents"):
                self._check(delivery, action, arn)
            self.forward(arn, delivery.event)
            return
        bus = self._backend.describe_event_bus(arn.rsplit("/", 1)[-1])
        self._check(delivery, "events:PutEvents", arn)
        self._take(bus, delivery.event)

    def _start(self, machine: str, text: str) -> None:
        client, name = self._core.client("stepfunctions"), self._core.new_id()
        try:
            client.start_execution(stateMachineArn=machine, input=text, name=name)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            raise DeliveryFailed(code, str(error), retriable=code == THROTTLED) from error

    def _send(self, delivery: _Delivery, arn: str, text: str) -> None:
        queue = self._queues.by_arn(arn)
        self._check(delivery, "sqs:SendMessage", arn)
        group = delivery.target.get("SqsParameters", {}).get("MessageGroupId")
        delivery.queued = queue.send(text, group=group)

    def _check(self, delivery: _Delivery, action: str, resource: str) -> None:
        """Fails unless the target's role, or without one the target's policy, permits an action.

        https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html
        https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-events-iam-roles.html
        """
        access, rule = self._core.access, delivery.rule.arn
        role = delivery.target.get("RoleArn")
        if role is not None and not access.is_assumable(role, service=_SERVICE, source_arn=rule):
            raise _not_permitted(f"the role {role} does not let {_SERVICE} assume it for {rule}")
        principal = access.session(role, "events") if role else access.service(_SERVICE)
        try:
            access.authorize(principal, action, resource, source_arn="" if role else rule)
        except Denied as denied:
            raise _not_permitted(str(denied)) from None

    def _publish(self, delivery: _Delivery, arn: str, text: str) -> None:
        """Publishes to a topic, by the topic's policy or as the target's role.

        https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html
        """
        topics = self._topics
        if arn not in topics:
            raise DeliveryFailed("NO_RESOURCE", f"no topic {arn}")
        self._check(delivery, "sns:Publish", arn)
        try:
            topics.publish(arn, text, event=delivery.event)
        except InvalidParameterValue as error:
            raise DeliveryFailed("INVALID_PARAMETER", str(error)) from error

    def _put_record(self, delivery: _Delivery, arn: str, text: str) -> None:
        """Puts a record into a data stream, which takes the right of the target's role.

        https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-events-iam-roles.html
        """
        self._check(delivery, "kinesis:PutRecord", arn)
        try:
            self._streams.put(arn, _partition_key(delivery), text)
        except StreamNotFoundError as error:
            raise DeliveryFailed("NO_RESOURCE", str(error)) from error
        except InvalidArgumentError as error:
            raise DeliveryFailed("INVALID_PARAMETER", str(error)) from error

    def _text(self, delivery: _Delivery) -> str:
        target = delivery.target
        if not target.keys() & {"Input", "InputPath", "InputTransformer"}:
            return delivery.text
        transformer = None
        definition = target.get("InputTransformer")
        if definition is not None:
            key = json.dumps(definition, sort_keys=True)
            if key not in self._transformers:
                self._transformers[key] = InputTransformer(
                    definition.get("InputPathsMap"), definition["InputTemplate"]
                )
            transformer = self._transformers[key]
        return target_input(
            target,
            delivery.event,
            transformer=transformer,
            rule_arn=delivery.rule.arn,
            rule_name=delivery.rule.name,
            ingestion_time=delivery.started,
        )

    def _log(self, delivery: _Delivery, arn: str, text: str) -> None:
        """Writes to a log group, as ``timestamp`` and ``message`` if the input has that form.

        https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-rule-log-group.html
        """
        core = self._core
        group = arn.split(":log-group:")[1].removesuffix(":*")
        stream = delivery.rule.name
        for action in ("logs:CreateLogStream", "logs:PutLogEvents"):
            log = f"arn:aws:logs:{core.region}:{core.account}:log-group:{group}"
            self._check(delivery, action, f"{log}:log-stream:{stream}")
        backend = logs_backends[core.account][core.region]
        if group not in backend.groups:
            raise DeliveryFailed("NO_RESOURCE", f"no log group {group}")
        if stream not in backend.groups[group].streams:
            backend.create_log_stream(group, stream)
        message = text
        if "InputTransformer" in delivery.target:
            try:
                message = str(json.loads(text)["message"])
            except (ValueError, KeyError, TypeError):
                raise DeliveryFailed(
                    "INVALID_PARAMETER",
                    f"a log target's input has to be JSON with timestamp and message: {text[:200]}",
                ) from None
        now_ms = int(self._scheduler.now() * 1000)
        backend.put_log_events(group, stream, [{"timestamp": now_ms, "message": message}])

    def _report(self, delivery: _Delivery, outcome: str, **detail: Any) -> None:
        self._core.meter.add(
            "delivery",
            delivery.rule_path,
            self._core.path_of(delivery.target["Arn"]),
            outcome=outcome,
            event=delivery.event,
            **detail,
        )


def _forward_nowhere(arn: str, event: dict[str, Any]) -> None:
    raise DeliveryFailed("NO_RESOURCE", f"no event bus {arn}")


def _partition_key(delivery: _Delivery) -> str:
    """Returns what a target's partition key path selects of an event, by default the event's id.

    https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_KinesisParameters.html
    Raises PatternError if that is nothing, or no text or number.
    """
    path = delivery.target.get("KinesisParameters", {}).get("PartitionKeyPath", "$.id")
    key = JsonPath(path).select(delivery.event)
    if isinstance(key, bool) or not isinstance(key, str | int | float) or key == "":
        raise PatternError(f"{path} selects no partition key in the event {delivery.event['id']}")
    return str(key)


def _not_permitted(message: str) -> DeliveryFailed:
    return DeliveryFailed("NO_PERMISSIONS", message)


def _refused(code: str, message: str) -> dict[str, Any]:
    return {"ErrorCode": code, "ErrorMessage": message}


def _entry_size(entry: dict[str, Any]) -> int:
    """Returns an entry's size in bytes, as EventBridge counts it."""
    texts = [entry.get("Source"), entry.get("DetailType"), entry.get("Detail")]
    texts += entry.get("Resources") or []
    return sum(len(text.encode()) for text in texts if text) + (14 if entry.get("Time") else 0)
