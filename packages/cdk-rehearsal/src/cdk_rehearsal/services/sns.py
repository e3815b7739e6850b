"""SNS: from a publish through the filters to each subscription, with retries and dead letters."""

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from moto.sns.exceptions import InvalidParameterValue, SNSException, SNSInvalidParameter
from moto.sns.models import SNSBackend, Subscription, Topic, sns_backends
from moto.sqs.exceptions import QueueDoesNotExist

from cdk_rehearsal.core import Core
from cdk_rehearsal.errors import RehearsalError
from cdk_rehearsal.filters import SubscriptionFilter
from cdk_rehearsal.limits import LIMITS
from cdk_rehearsal.patterns import PatternError
from cdk_rehearsal.sandbox.patching import Patches
from cdk_rehearsal.services.call_limits import message_size
from cdk_rehearsal.services.deliveries import DeliveryFailed, check_faults
from cdk_rehearsal.services.functions import PayloadTooLarge
from cdk_rehearsal.services.invocation import LambdaService
from cdk_rehearsal.services.queues import REMEMBERED_S, Queue, Queues
from cdk_rehearsal.services.texts import iso_milliseconds

_SERVICE = "sns.amazonaws.com"
_OF_ACCOUNT = {
    True: "sns.fifo_messages_per_second",
    False: "sns.standard_messages_per_second",
}
"""The rate of the account, by whether a topic is a FIFO one."""
_NO_QUEUE = "AWS.SimpleQueueService.NonExistentQueue"
DELIVERING = frozenset({"lambda", "sqs"})
"""Protocols whose messages stay in the rehearsal."""
LEAVING = frozenset({"email", "email-json", "http", "https", "sms"})
"""Protocols whose messages leave the rehearsal."""
# Retries of what AWS itself runs: 3 at once, 2 after a second each, 10 after 1 to 20 seconds,
# 100,000 every 20 seconds: https://docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html
_BACKOFF_S = (1.0, 20.0)
_BACKOFF_RETRIES = 10
# So many of the last phase are made one by one; of the days after that, one retry an hour.
_CLOSE_RETRIES = 180
_SPARSE_PAUSE_S = 3600.0


@dataclass(frozen=True)
class Notification:
    """A message as it was published; attributes have ``Type`` and ``Value``."""

    id: str
    topic_arn: str
    message: str
    subject: str | None
    attributes: dict[str, dict[str, str]]
    time: float
    event: dict[str, Any] | None
    group: str | None = None
    deduplication: str | None = None

    @property
    def deduplication_id(self) -> str:
        """The id by which FIFO topics and queues recognize it: by default, that of its content."""
        return self.deduplication or hashlib.sha256(self.message.encode()).hexdigest()

    def envelope(self, url: str) -> dict[str, Any]:
        """Returns the JSON document that wraps the message; what stands there signs nothing.

        ``url`` ends the names of two members: ``URL`` for queues, ``Url`` for functions.
        https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html
        """
        site = f"https://sns.{self.topic_arn.split(':')[3]}.amazonaws.com/"
        return {
            "Type": "Notification",
            "MessageId": self.id,
            "TopicArn": self.topic_arn,
            "Subject": self.subject,
            "Message": self.message,
            "Timestamp": iso_milliseconds(self.time),
            "SignatureVersion": "1",
            "Signature": base64.b64encode(b"rehearsal").decode(),
            f"SigningCert{url}": f"{site}rehearsal.pem",
            f"Unsubscribe{url}": f"{site}?Action=Unsubscribe",
            "MessageAttributes": self.attributes,
        }


@dataclass
class _Delivery:
    """One message on its way to one subscription."""

    subscription: Subscription
    notification: Notification
    source: str
    target: str
    detail: dict[str, Any] = field(default_factory=dict)

    @property
    def raw(self) -> bool:
        return _is_true(self.subscription.attributes.get("RawMessageDelivery"))

    @property
    def body(self) -> str:
        if self.raw:
            return self.notification.message
        document = self.notification.envelope("URL")
        return json.dumps({key: value for key, value in document.items() if value})

    @property
    def attributes(self) -> dict[str, str | dict[str, Any]]:
        if not self.raw:
            return {}
        return {name: _for_sqs(value) for name, value in self.notification.attributes.items()}


class Topics:
    """The subscriptions of all topics at work; moto keeps topics and subscriptions themselves."""

    def __init__(self, core: Core, lambdas: LambdaService, queues: Queues) -> None:
        self._core = core
        self._scheduler = core.scheduler
        self._lambdas = lambdas
        self._queues = queues
        self._filters: dict[tuple[str, str], SubscriptionFilter] = {}
        self._seen: dict[tuple[str, str], Notification] = {}
        self._latest: dict[str, float] = {}

    def install(self, patches: Patches) -> None:
        """Lets moto's topics deliver through the rehearsal."""

        def publish(
            topic: Topic,
            message: str,
            subject: str | None = None,
            message_attributes: dict[str, Any] | None = None,
            group_id: str | None = None,
            deduplication_id: str | None = None,
            message_structure: str | None = None,
        ) -> str:
            if message_structure is not None:
                raise RehearsalError("the rehearsal does not know MessageStructure")
            return self.publish(
                topic.arn,
                message,
                subject=subject,
                attributes=message_attributes or {},
                group=group_id,
                deduplication=deduplication_id,
            )

        def validate(backend: SNSBackend, policy: dict[str, Any], scope: str | None) -> None:
            try:
                SubscriptionFilter(policy, scope or "MessageAttributes")
            except PatternError as error:
                raise SNSInvalidParameter(f"FilterPolicy: {error}") from None

        publish_one, publish_batch = SNSBackend.publish, SNSBackend.publish_batch
        admitted: list[str] = []

        def published(
            backend: SNSBackend, message: str, arn: str | None, *more: Any, **options: Any
        ) -> str:
            if arn in backend.topics and arn not in admitted:
                entry = {
                    "Message": message,
                    "MessageAttributes": options.get("message_attributes"),
                    "MessageGroupId": options.get("group_id"),
                }
                self._admit(backend.topics[arn], [entry])
            return publish_one(backend, message, arn, *more, **options)

        def batch_published(
            backend: SNSBackend,
            topic_arn: str,
            publish_batch_request_entries: list[dict[str, Any]],
        ) -> Any:
            topic = backend.get_topic(topic_arn)
            self._check_batch(topic, publish_batch_request_entries)
            self._admit(topic, publish_batch_request_entries)
            admitted.append(topic_arn)
            try:
                return publish_batch(backend, topic_arn, publish_batch_request_entries)
            finally:
                admitted.remove(topic_arn)

        patches.set(SNSBackend, "publish", published)
        patches.set(SNSBackend, "publish_batch", batch_published)
        patches.set(Topic, "publish", publish)
        patches.set(SNSBackend, "_validate_filter_policy", validate)

    @property
    def _backend(self) -> SNSBackend:
        return sns_backends[self._core.account][self._core.region]

    def __contains__(self, arn: str) -> bool:
        return arn in self._backend.topics

    def admits(self, arn: str, service: str, source_arn: str) -> bool:
        """Whether the topic's policy lets a service publish on behalf of ``source_arn``.

        https://docs.aws.amazon.com/sns/latest/dg/sns-access-policy-use-cases.html
        """
        return self._core.access.service_may(service, "sns:Publish", arn, source_arn)

    def publish(
        self,
        arn: str,
        message: str,
        *,
        subject: str | None = None,
        attributes: dict[str, dict[str, str]] | None = None,
        event: dict[str, Any] | None = None,
        group: str | None = None,
        deduplication: str | None = None,
    ) -> str:
        """Sends a message to each subscription that wants it; returns the message's id.

        ``event`` is what the message stands for, for the record. ``group`` and ``deduplication``
        are the ids that a FIFO topic needs. Raises moto's
        InvalidParameterValue for a message over the topic's maximum size.
        """
        notification = Notification(
            self._core.new_id(),
            arn,
            message,
            subject,
            attributes or {},
            self._scheduler.now(),
            event,
            group,
            deduplication,
        )
        if _size(notification) > _most_bytes(self._backend.topics[arn]):
            raise InvalidParameterValue("Invalid parameter: Message too long")
        if arn.endswith(".fifo") and (earlier := self._repeated(notification)):
            return earlier
        for subscription in list(self._backend.subscriptions.values()):
            if subscription.topic.arn == arn:
                self._send(subscription, notification)
        return notification.id

    def _check_batch(self, topic: Any, entries: list[dict[str, Any]]) -> None:
        """Refuses a batch whose messages are too large together.

        https://docs.aws.amazon.com/sns/latest/api/API_PublishBatch.html
        """
        sizes = (
            message_size(entry["Message"], entry.get("MessageAttributes")) for entry in entries
        )
        if sum(sizes) > _most_bytes(topic):
            raise _BatchTooLong

    def _admit(self, topic: Any, entries: list[dict[str, Any]]) -> None:
        """Refuses messages that clients publish over a rate of the account, topic or group.

        https://docs.aws.amazon.com/general/latest/gr/sns.html
        """
        amounts = [(_OF_ACCOUNT[bool(topic.fifo_topic)], "", len(entries))]
        if topic.fifo_topic:
            groups = Counter(str(entry.get("MessageGroupId")) for entry in entries)
            amounts += [
                ("sns.fifo_group_messages_per_second", f"{topic.arn} {group}", count)
                for group, count in groups.items()
            ]
        if topic.fifo_topic and not _is_by_group(topic):
            sizes = (message_size(e["Message"], e.get("MessageAttributes")) for e in entries)
            amounts += [
                ("sns.fifo_topic_messages_per_second", topic.arn, len(entries)),
                ("sns.fifo_topic_bytes_per_second", topic.arn, sum(sizes)),
            ]
        if not self._core.rates.take_all(amounts):
            raise _Throttled

    def _repeated(self, notification: Notification) -> str | None:
        """Returns the id of the same message, if a FIFO topic has it from the last five minutes.

        https://docs.aws.amazon.com/sns/latest/dg/fifo-message-dedup.html
        """
        by_group = _is_by_group(self._backend.topics[notification.topic_arn])
        scope = f"{notification.group} " if by_group else ""
        key = (notification.topic_arn, scope + notification.deduplication_id)
        earlier = self._seen.get(key)
        if earlier is not None and notification.time - earlier.time < REMEMBERED_S:
            return earlier.id
        self._seen[key] = notification
        return None

    def _send(self, subscription: Subscription, notification: Notification) -> None:
        core = self._core
        detail: dict[str, Any] = {
            "subscription": core.path_of(subscription.arn),
            "message": notification.id,
        }
        if notification.event is not None:
            detail["event"] = notification.event
        source = core.path_of(notification.topic_arn)
        if not self._wanted(subscription, notification):
            core.meter.add("delivery", source, "nowhere", outcome="filtered", **detail)
            return
        if subscription.protocol in LEAVING:
            core.meter.add("delivery", source, subscription.endpoint, outcome="left", **detail)
            return
        target = core.path_of(subscription.endpoint)
        delivery = _Delivery(subscription, notification, source, target, detail)
        for late in core.faults.way(source, target):
            moment = self._scheduler.now() + late + core.draw(core.latency.topic_s)
            if notification.topic_arn.endswith(".fifo"):
                # Messages stay in their order.
                moment = max(moment, self._latest.get(subscription.arn, 0.0))
                self._latest[subscription.arn] = moment
            self._scheduler.spawn(
                self._deliver,
                delivery,
                name=f"notification by {source} of {target}",
                at=moment,
                critical=True,
            )

    def _wanted(self, subscription: Subscription, notification: Notification) -> bool:
        policy = subscription.attributes.get("FilterPolicy")
        if not policy or policy == "{}":
            return True
        scope = subscription.attributes.get("FilterPolicyScope") or "MessageAttributes"
        key = (policy, scope)
        if key not in self._filters:
            self._filters[key] = SubscriptionFilter(json.loads(policy), scope)
        return self._filters[key].matches(notification.message, notification.attributes)

    # -- one subscription -----------------------------------------------------------------

    def _deliver(self, delivery: _Delivery) -> None:
        """Tries until the endpoint takes the message or the retries are used up."""
        pauses = _pauses(self._core.latency.topic_patience_s)
        while True:
            try:
                self._hand_over(delivery)
            except DeliveryFailed as failure:
                self._report(delivery, "failed", error=failure.code)
                pause = next(pauses, None) if failure.retriable else None
                if pause is None:
                    self._give_up(delivery, failure)
                    return
                self._scheduler.sleep(pause * self._scheduler.random.uniform(0.75, 1.0))
            else:
                self._report(delivery, "delivered")
                return

    def _hand_over(self, delivery: _Delivery) -> None:
        check_faults(
            self._core,
            delivery.source,
            delivery.target,
            gone=_NO_QUEUE,
            failed="InternalError",
        )
        subscription = delivery.subscription
        if subscription.protocol == "sqs":
            if (
                delivery.raw
                and len(delivery.notification.attributes) > LIMITS["sns.raw_attributes"]
            ):
                raise DeliveryFailed(
                    "InvalidParameterValue", "too many attributes of a raw message"
                )
            queue = self._queue(subscription.endpoint)
            if not queue.admits(_SERVICE, subscription.topic.arn):
                raise DeliveryFailed(
                    "AccessDenied", f"the policy of {queue.path} does not admit the topic"
                )
            notification = delivery.notification
            if queue.name.endswith(".fifo"):
                delivery.detail["queued"] = queue.send(
                    delivery.body,
                    delivery.attributes,
                    group=notification.group,
                    deduplication=notification.deduplication_id,
                )
            else:
                delivery.detail["queued"] = queue.send(delivery.body, delivery.attributes)
        elif subscription.protocol == "lambda":
            function = self._lambdas.functions.get(subscription.endpoint)
            if function is None:
                raise DeliveryFailed(
                    "ResourceNotFoundException", f"no function {subscription.endpoint}"
                )
            if not self._lambdas.admits(function, _SERVICE, subscription.topic.arn):
                raise DeliveryFailed(
                    "AccessDenied", f"no permission lets the topic invoke {function.path}"
                )
            record = {
                "EventSource": "aws:sns",
                "EventVersion": "1.0",
                "EventSubscriptionArn": subscription.arn,
                "Sns": delivery.notification.envelope("Url"),
            }
            payload = json.dumps({"Records": [record]})
            try:
                self._lambdas.invoke_async(function, payload, source=delivery.source)
            except PayloadTooLarge as error:
                raise DeliveryFailed("RequestEntityTooLargeException", str(error)) from None
        else:
            raise RehearsalError(
                f"the rehearsal does not know subscriptions by {subscription.protocol}"
            )

    def _queue(self, arn: str) -> Queue:
        try:
            queue = self._queues.by_arn(arn)
            queue.model  # noqa: B018 - a queue of the template may be deleted meanwhile
        except (QueueDoesNotExist, RehearsalError):
            raise DeliveryFailed(_NO_QUEUE, f"no queue {arn}") from None
        return queue

    def _give_up(self, delivery: _Delivery, failure: DeliveryFailed) -> None:
        """Sends what could not be delivered to the subscription's dead-letter queue.

        https://docs.aws.amazon.com/sns/latest/dg/sns-dead-letter-queues.html
        """
        core = self._core
        detail = {**delivery.detail, "condition": failure.code}
        arn = json.loads(delivery.subscription.attributes.get("RedrivePolicy") or "{}").get(
            "deadLetterTargetArn"
        )
        try:
            queue = self._queue(arn) if arn else None
        except DeliveryFailed:
            queue = None
        if (
            queue is None
            or not queue.admits(_SERVICE, delivery.subscription.topic.arn)
            or not queue.takes(delivery.body)
        ):
            core.meter.add(
                "discarded", delivery.source, "nowhere", **detail, refused=arn is not None
            )
            return
        queue.send(
            delivery.body,
            {
                **delivery.attributes,
                "RequestID": core.new_id(),
                "ErrorCode": failure.code,
                "ErrorMessage": str(failure),
            },
        )
        core.meter.add("dead_letter", delivery.source, queue.path, **detail)

    def _report(self, delivery: _Delivery, outcome: str, **detail: Any) -> None:
        self._core.meter.add(
            "delivery",
            delivery.source,
            delivery.target,
            outcome=outcome,
            **delivery.detail,
            **detail,
        )


def _pauses(patience_s: float) -> Iterator[float]:
    """Returns the seconds before each retry; the last phase of them takes `patience_s`."""
    yield from (0.0, 0.0, 0.0, 1.0, 1.0)
    shortest, longest = _BACKOFF_S
    for index in range(_BACKOFF_RETRIES):
        yield shortest * (longest / shortest) ** (index / (_BACKOFF_RETRIES - 1))
    yield from (longest,) * _CLOSE_RETRIES
    left = patience_s - _CLOSE_RETRIES * longest
    yield from (_SPARSE_PAUSE_S,) * int(left / _SPARSE_PAUSE_S)


def _for_sqs(attribute: dict[str, str]) -> dict[str, Any]:
    kind, value = attribute["Type"], attribute["Value"]
    if kind.startswith("Binary"):
        return {"DataType": kind, "BinaryValue": base64.b64decode(value)}
    return {"DataType": kind, "StringValue": value}


class _BatchTooLong(SNSException):
    """The messages of a batch are too large together."""

    def __init__(self) -> None:
        super().__init__(
            "BatchRequestTooLong",
            "The length of all the batch messages put together is more than the limit.",
        )


class _Throttled(SNSException):
    """More messages than a rate has room for."""

    code = "Throttling"
    message = "Rate exceeded"


def _is_by_group(topic: Any) -> bool:
    """Whether throughput and deduplication of a FIFO topic are those of each group.

    https://docs.aws.amazon.com/cdk/api/v2/docs/aws-cdk-lib.aws_sns.FifoThroughputScope.html
    """
    return bool(getattr(topic, "fifo_throughput_scope", "Topic") == "MessageGroup")


def _most_bytes(topic: Any) -> int:
    return int(getattr(topic, "maximum_message_size", LIMITS["sns.message_bytes"]))


def _size(notification: Notification) -> int:
    texts = [notification.message]
    for name, attribute in notification.attributes.items():
        texts += [name, attribute["Type"], attribute["Value"]]
    return sum(len(text.encode()) for text in texts)


def _is_true(value: Any) -> bool:
    return str(value).lower() == "true"
