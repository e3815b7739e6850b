"""Targets of a Custom Event Bus's subscribers, which are called with the subscriber's role."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from botocore import xform_name
from botocore.exceptions import ClientError, ParamValidationError
from moto.kinesis.exceptions import InvalidArgumentError, StreamNotFoundError
from moto.sns.exceptions import InvalidParameterValue

from cdk_rehearsal.authorization.decisions import Denied
from cdk_rehearsal.core import Core
from cdk_rehearsal.errors import RehearsalError
from cdk_rehearsal.services.bus_events import BusEvent, Evaluate, resolved
from cdk_rehearsal.services.deliveries import DeliveryFailed
from cdk_rehearsal.services.functions import Function, PayloadTooLarge, Throttled
from cdk_rehearsal.services.invocation import LambdaService
from cdk_rehearsal.services.queues import Queues
from cdk_rehearsal.services.sns import Topics
from cdk_rehearsal.services.streams import Streams
from cdk_rehearsal.services.texts import is_json

SERVICE = "events.amazonaws.com"
GENERIC = (
    "The delivery failed. Use this record's error code and request id when investigating, and "
    "contact AWS Support if the failure persists."
)
"""https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-retry.html"""

_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Kind:
    """A kind of target: its parameters, and how many events one call carries.

    The numbers are those of the CloudFormation schema:
    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-eventsv2-subscriber-batchconfiguration.html
    """

    name: str
    parameters: str | None
    most: int
    default: int
    waits: bool = False
    """Whether a call takes time."""


_KINDS: Mapping[str, Kind] = {
    "sqs": Kind("sqs", "SqsParameters", 10, 10),
    "sns": Kind("sns", "SnsParameters", 10, 10),
    "lambda": Kind("lambda", "LambdaParameters", 100, 10, waits=True),
    "kinesis": Kind("kinesis", "KinesisParameters", 500, 500),
    "states": Kind("states", "StepFunctionsParameters", 100, 10, waits=True),
    "event-busv2": Kind("event-busv2", "EventBusV2Parameters", 100, 100),
    "event-bus": Kind("event-bus", None, 10, 10),
    "aws-sdk": Kind("aws-sdk", "UniversalTargetParameters", 1, 1, waits=True),
}
TARGETS = frozenset(_KINDS)
"""The kinds of targets that a rehearsal knows."""


_SDK: Mapping[str, str] = {
    **{name: name for name in ("dynamodb", "kinesis", "lambda", "scheduler", "sns", "sqs")},
    "cloudwatchlogs": "logs",
    "sfn": "stepfunctions",
}
"""The services of universal targets, each with boto3's name."""


def kind_of(arn: str) -> Kind | None:
    """Returns the kind of a target, None if the rehearsal does not know it."""
    parts = arn.split(":", 5)
    if len(parts) < 6:
        return None
    if parts[5].startswith("aws-sdk:"):
        return _KINDS["aws-sdk"] if parts[5].split(":")[1] in _SDK else None
    name = parts[5].partition("/")[0] if parts[2] == "events" else parts[2]
    return _KINDS.get(name)


@dataclass(eq=False)
class Delivery:
    """One event on its way to the target of a subscriber."""

    event: BusEvent
    kind: str
    """LIVE, or REPLAY if it was read from the events that the bus has retained."""
    started: float
    attempts: int = 0
    queued: str | None = None
    """The id of its message in the target, a queue."""


class Invoker(Protocol):
    """What a target has to know of the subscriber that invokes it."""

    @property
    def arn(self) -> str:
        """Its ARN."""

    @property
    def path(self) -> str:
        """Its construct path."""

    @property
    def role(self) -> str:
        """The ARN of the role that EventBridge assumes."""

    @property
    def target(self) -> str:
        """The ARN of its target."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The parameters of its target."""

    @property
    def batch_size(self) -> int:
        """The most events that one call carries."""

    @property
    def is_ordered(self) -> bool:
        """Whether events of a group are delivered in order."""


Item = tuple[Delivery, str]
"""A delivery, and the text that the target gets."""
Failures = list[tuple[Delivery, DeliveryFailed]]


def failed(code: str, message: str = GENERIC) -> DeliveryFailed:
    """Returns a failure that is retried, as all failures are.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-retry.html
    """
    return DeliveryFailed(code, message[:1024], retriable=True)


def authorize(core: Core, invoker: Invoker, action: str, resource: str) -> None:
    """Raises DeliveryFailed unless a subscriber's role can be assumed and permits an action.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-subscribers.html
    """
    access, role = core.access, invoker.role
    if not access.is_assumable(role, service=SERVICE, source_arn=invoker.arn):
        raise failed(
            "ACCESS_DENIED",
            f"EventBridge could not assume {role}. Check that the role exists and that its trust "
            "policy allows the EventBridge service principal to assume it.",
        )
    try:
        access.authorize(access.session(role, "events"), action, resource)
    except Denied as denied:
        raise failed(
            "ACCESS_DENIED", f"EventBridge could not access {resource}. {denied}"
        ) from None


@dataclass
class Targets:
    """Calls targets. A method returns the deliveries that failed, or raises if all did.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-targets.html
    """

    core: Core
    lambdas: LambdaService
    queues: Queues
    streams: Streams
    topics: Topics
    evaluate: Evaluate
    forward: Callable[[str, BusEvent, Mapping[str, Any], str], None]
    """Puts an event on another bus."""
    classic: Callable[[str, BusEvent], None]
    """Puts an event on a classic bus."""
    _calls: Mapping[str, Callable[[Invoker, list[Item]], Failures]] = field(init=False)

    def __post_init__(self) -> None:
        """Registers the kinds of targets."""
        self._calls = {
            "sqs": self._send,
            "sns": self._publish,
            "lambda": self._invoke,
            "kinesis": self._put_records,
            "states": self._execute,
            "event-busv2": self._forward,
            "event-bus": self._forward,
            "aws-sdk": self._call_api,
        }

    def call(self, kind: Kind, invoker: Invoker, items: list[Item]) -> Failures:
        """Hands a batch of events to a target."""
        return self._calls[kind.name](invoker, items)

    def value(self, invoker: Invoker, name: str, events: Any) -> Any:
        """Returns the value of a parameter; DeliveryFailed if its expression fails."""
        try:
            return resolved(invoker.parameters.get(name), events, self.evaluate)
        except ValueError as error:
            raise failed("CUSTOMER_VALIDATION", str(error)) from None

    def _each(
        self, invoker: Invoker, items: list[Item], hand: Callable[[Delivery, str], object]
    ) -> Failures:
        """Hands over one event after the other; of an ordered group none after one that failed."""
        failures: Failures = []
        broken: set[str] = set()
        for delivery, text in items:
            group = delivery.event.group
            try:
                if group in broken:
                    raise failed("PARTIAL_BATCH_FAILURE")
                hand(delivery, text)
            except DeliveryFailed as failure:
                failures.append((delivery, failure))
                if invoker.is_ordered:
                    broken.add(group)
        return failures

    def _require(
        self,
        invoker: Invoker,
        action: str,
        arn: str,
        known: Queues | Topics | Mapping[str, Function],
    ) -> None:
        """Fails unless the subscriber's role permits an action on a target, and it is there."""
        authorize(self.core, invoker, action, arn)
        if arn not in known:
            raise failed("RESOURCE_NOT_FOUND", f"EventBridge could not access {arn}.")

    # -- https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-target-sqs.html

    def _send(self, invoker: Invoker, items: list[Item]) -> Failures:
        arn = invoker.target
        self._require(invoker, "sqs:SendMessage", arn, self.queues)
        queue = self.queues.by_arn(arn)

        def send(delivery: Delivery, text: str) -> None:
            events = delivery.event.parts(delivery.kind)
            group = self.value(invoker, "MessageGroupId", events)
            once = self.value(invoker, "MessageDeduplicationId", events)
            fifo = arn.endswith(".fifo")
            if fifo and not group:
                raise failed(
                    "CUSTOMER_VALIDATION",
                    "The request must contain the parameter MessageGroupId.",
                )
            if once and not fifo:
                raise failed(
                    "CUSTOMER_VALIDATION",
                    "The request includes a parameter that is not valid for this queue type: "
                    "MessageDeduplicationId",
                )
            if fifo and not once and not queue.model.content_based_deduplication:
                raise failed(
                    "CUSTOMER_VALIDATION",
                    "The queue should either have ContentBasedDeduplication enabled or "
                    "MessageDeduplicationId provided explicitly",
                )
            attributes = self._attributes(invoker, events)
            try:
                delivery.queued = queue.send(text, attributes, group=group, deduplication=once)
            except RehearsalError as error:
                raise failed("CUSTOMER_VALIDATION", str(error)) from None

        return self._each(invoker, items, send)

    def _attributes(self, invoker: Invoker, events: Any) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, stated in invoker.parameters.get("MessageAttributes", {}).items():
            try:
                value = resolved(stated.get("StringValue"), events, self.evaluate)
                found[str(resolved(name, events, self.evaluate))] = {**stated, "StringValue": value}
            except ValueError as error:
                raise failed("CUSTOMER_VALIDATION", str(error)) from None
        return found

    # -- https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-target-sns.html

    def _publish(self, invoker: Invoker, items: list[Item]) -> Failures:
        arn = invoker.target
        self._require(invoker, "sns:Publish", arn, self.topics)

        def publish(delivery: Delivery, text: str) -> None:
            events = delivery.event.parts(delivery.kind)
            group = self.value(invoker, "MessageGroupId", events)
            if arn.endswith(".fifo") and not group:
                raise failed("CUSTOMER_VALIDATION", "The MessageGroupId parameter is required.")
            try:
                self.topics.publish(
                    arn,
                    text,
                    subject=self.value(invoker, "Subject", events),
                    attributes={
                        name: {"Type": each["DataType"], "Value": each["StringValue"]}
                        for name, each in self._attributes(invoker, events).items()
                    },
                    event=shown(delivery.event),
                    group=group,
                    deduplication=self.value(invoker, "MessageDeduplicationId", events),
                )
            except InvalidParameterValue as error:
                raise failed("CUSTOMER_VALIDATION", str(error)) from None

        return self._each(invoker, items, publish)

    # -- https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-target-kinesis.html

    def _put_records(self, invoker: Invoker, items: list[Item]) -> Failures:
        arn = invoker.target
        authorize(self.core, invoker, "kinesis:PutRecords", arn)

        def put(delivery: Delivery, text: str) -> None:
            key = self.value(invoker, "PartitionKey", delivery.event.parts(delivery.kind))
            if not key or not isinstance(key, str):
                raise failed("CUSTOMER_VALIDATION", f"the partition key is {key!r}: give a text")
            try:
                self.streams.put(arn, key, text)
            except StreamNotFoundError as error:
                raise failed("RESOURCE_NOT_FOUND", str(error)) from None
            except InvalidArgumentError as error:
                raise failed("CUSTOMER_VALIDATION", str(error)) from None

        return self._each(invoker, items, put)

    # -- https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-target-lambda.html

    def _invoke(self, invoker: Invoker, items: list[Item]) -> Failures:
        parts = _parts(items)
        qualifier = self.value(invoker, "Qualifier", parts)
        arn = f"{invoker.target}:{qualifier}" if qualifier else invoker.target
        self._require(invoker, "lambda:InvokeFunction", arn, self.lambdas.functions)
        function, payload = self.lambdas.functions[arn], _payload(invoker, items)
        started = self.core.scheduler.now()
        try:
            if invoker.parameters["InvocationType"] == "EVENT":
                self.lambdas.invoke_async(function, payload, source=invoker.path)
                return []
            result = self.lambdas.invoke(function, payload, source=invoker.path)
        except PayloadTooLarge:
            raise failed("REQUEST_TOO_LARGE") from None
        except Throttled:
            raise failed("THROTTLING") from None
        if self.core.scheduler.now() - started > self._patience(invoker, parts):
            raise failed("EXECUTION_TIMEOUT")
        if result.failed:
            raise failed("COMPUTE_EXECUTION_ERROR")
        return []

    # -- https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-target-sfn.html

    def _execute(self, invoker: Invoker, items: list[Item]) -> Failures:
        parts, arn = _parts(items), invoker.target
        waits = invoker.parameters["InvocationType"] == "REQUEST_RESPONSE"
        action = "StartSyncExecution" if waits else "StartExecution"
        authorize(self.core, invoker, f"states:{action}", arn)
        client = self.core.client("stepfunctions")
        name = self.value(invoker, "Name", parts) or self.core.new_id()
        call = client.start_sync_execution if waits else client.start_execution
        started = self.core.scheduler.now()
        try:
            answer = call(stateMachineArn=arn, name=name, input=_payload(invoker, items))
        except ClientError as error:
            code, message = error.response["Error"]["Code"], str(error)
            raise failed(_OF_STATES.get(code, "CUSTOMER_VALIDATION"), message) from None
        if waits and self.core.scheduler.now() - started > self._patience(invoker, parts):
            raise failed("EXECUTION_TIMEOUT")
        if waits and answer["status"] != "SUCCEEDED":
            raise failed("COMPUTE_EXECUTION_ERROR")
        return []

    # -- https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-universal-targets.html

    def has_action(self, arn: str) -> bool:
        """Whether a universal target names an action that changes something."""
        _, service, action = arn.split(":", 5)[5].split(":")
        model = self.core.client(_SDK[service]).meta.service_model
        reads = action.startswith(("get", "list", "describe"))
        return _operation(action) in model.operation_names and action[:1].islower() and not reads

    def _call_api(self, invoker: Invoker, items: list[Item]) -> Failures:
        access, role = self.core.access, invoker.role
        if not access.is_assumable(role, service=SERVICE, source_arn=invoker.arn):
            raise failed("ACCESS_DENIED", f"EventBridge could not assume {role}.")
        try:
            request = resolved(invoker.parameters["Input"], _parts(items), self.evaluate)
            request = json.loads(request) if isinstance(request, str) else request
        except ValueError as error:
            raise failed("INPUT_TRANSFORMATION_FAILURE", str(error)) from None
        _, service, action = invoker.target.split(":", 5)[5].split(":")
        client = self.core.client(_SDK[service], access.session(role, "events"))
        try:
            getattr(client, xform_name(_operation(action)))(**request)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            known = (each for words, each in _OF_APIS.items() if words in code)
            raise failed(next(known, "CUSTOMER_VALIDATION"), str(error)) from None
        except (ParamValidationError, TypeError) as error:
            raise failed("CUSTOMER_VALIDATION", str(error)) from None
        return []

    def _patience(self, invoker: Invoker, parts: Any) -> float:
        return float(self.value(invoker, "InvocationTimeoutSeconds", parts) or _TIMEOUT_S)

    # -- https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-target-bus.html

    def _forward(self, invoker: Invoker, items: list[Item]) -> Failures:
        """Puts events on another bus.

        Pages differ on which of the two actions an event needs, so a role needs both:
        https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-sharing.html
        """
        arn = invoker.target
        authorize(self.core, invoker, "events:PutEvents", arn)
        if ":event-bus/" in arn:
            return self._each(invoker, items, lambda delivery, _: self.classic(arn, delivery.event))
        authorize(self.core, invoker, "events:PutRawEvents", arn)

        def put(delivery: Delivery, text: str) -> None:
            if arn in delivery.event.passed:
                raise failed("LOOP_DETECTED")
            self.forward(arn, delivery.event, self._stamped(invoker, delivery), text)

        return self._each(invoker, items, put)

    def _stamped(self, invoker: Invoker, delivery: Delivery) -> Mapping[str, Any]:
        parts = delivery.event.parts(delivery.kind)
        stated = invoker.parameters
        try:
            return {
                "metadata": {
                    str(resolved(name, parts, self.evaluate)): str(
                        resolved(value, parts, self.evaluate)
                    )
                    for name, value in stated.get("Metadata", {}).items()
                },
                "system": {
                    name: str(resolved(value, parts, self.evaluate))
                    for name, value in stated.get("SystemMetadata", {}).items()
                },
            }
        except ValueError as error:
            raise failed("CUSTOMER_VALIDATION", str(error)) from None


_OF_STATES: Mapping[str, str] = {
    "StateMachineDoesNotExist": "RESOURCE_NOT_FOUND",
    "StateMachineTypeNotSupported": "SFN_TYPE_NOT_SUPPORTED",
    "ExecutionAlreadyExists": "RESOURCE_CONFLICT",
}


_OF_APIS: Mapping[str, str] = {
    "AccessDenied": "ACCESS_DENIED",
    "AuthorizationError": "ACCESS_DENIED",
    "NotFound": "RESOURCE_NOT_FOUND",
    "NonExistentQueue": "RESOURCE_NOT_FOUND",
    "Throttl": "THROTTLING",
}


def _operation(action: str) -> str:
    return action[:1].upper() + action[1:]


def _parts(items: Sequence[Item]) -> list[dict[str, Any]]:
    return [delivery.event.parts(delivery.kind) for delivery, _ in items]


def _payload(invoker: Invoker, items: list[Item]) -> str:
    """Returns the events of a batch: an array, unless batches have one event at most."""
    texts = [text if is_json(text) else json.dumps(text) for _, text in items]
    return texts[0] if invoker.batch_size == 1 else f"[{','.join(texts)}]"


def shown(event: BusEvent) -> dict[str, Any]:
    """Returns an event as records have it."""
    return event.data if isinstance(event.data, dict) else {"data": event.data}
