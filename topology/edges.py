"""The asynchronous edges of an application, and what secures each of them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from topology.assembly import Assembly, Properties, Resource

_SNS_RETRIES = "23 days, by SNS"
"""What SNS does for queues and functions, whatever a subscription says.
https://docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html"""

_S3_RETRIES = "by S3"
"""S3 has no setting for it and no dead-letter queue of its own; the queue that it fills has.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/EventNotifications.html"""


@dataclass(frozen=True)
class Edge:
    """One way on which messages go from a service to another without anybody waiting."""

    kind: str
    source: str
    target: str
    retries: str | None
    """The bound of its retries, in words; None if there is none."""
    parking: str | None
    """Path of the queue that takes what cannot be delivered or processed; None if there is none."""
    alarms: tuple[str, ...]
    """Paths of the alarms that tell of trouble on it and notify somebody."""

    @property
    def lacks(self) -> list[str]:
        """What is missing for nothing to be lost unseen."""
        return [
            what
            for what, there in (
                ("a bound of its retries", self.retries),
                ("a dead-letter queue or on-failure destination", self.parking),
                ("an alarm with an action", self.alarms),
            )
            if not there
        ]

    def __str__(self) -> str:
        """A line of the list."""
        return (
            f"{self.kind:9} {self.source} -> {self.target} | retries: {self.retries} "
            f"| parks in {self.parking} | {len(self.alarms)} alarms"
        )


def edges(assembly: Assembly) -> list[Edge]:
    """All asynchronous edges, in the order of their kinds and sources."""
    walk = _Walk(assembly)
    found = [edge for kind in _Walk.KINDS for edge in kind(walk)]
    return sorted(found, key=lambda edge: (edge.kind, edge.source, edge.target))


class _Walk:
    """One pass over the templates of a stage."""

    def __init__(self, assembly: Assembly) -> None:
        self._assembly = assembly
        self._alarms = self._watched()

    def rules(self) -> Iterator[Edge]:
        """Rules of a bus: each target."""
        for rule in self._all("AWS::Events::Rule"):
            for target in rule.properties["Targets"]:
                yield Edge(
                    "rule",
                    rule.path,
                    self._path(rule.stack, target["Arn"]),
                    _attempts(target.get("RetryPolicy")),
                    self._parking(rule.stack, target.get("DeadLetterConfig", {}).get("Arn")),
                    self._alarms_of(rule.path, "FailedInvocations"),
                )

    def mappings(self) -> Iterator[Edge]:
        """Event source mappings: queues and streams to functions."""
        for mapping in self._all("AWS::Lambda::EventSourceMapping"):
            source = self._assembly.referred(mapping.stack, mapping.properties["EventSourceArn"])
            function = self._path(mapping.stack, mapping.properties["FunctionName"])
            if source.type == "AWS::SQS::Queue":
                yield self._from_queue(source, function)
            else:
                yield self._from_stream(mapping, source, function)

    def _from_queue(self, queue: Resource, function: str) -> Edge:
        redrive = queue.properties.get("RedrivePolicy", {})
        receives = redrive.get("maxReceiveCount")
        parking = self._parking(queue.stack, redrive.get("deadLetterTargetArn"))
        parked = self._alarms_of(parking, "ApproximateNumberOfMessagesVisible")
        stale = self._alarms_of(queue.path, "ApproximateAgeOfOldestMessage")
        return Edge(
            "queue",
            queue.path,
            function,
            f"{receives} receives" if receives else None,
            parking,
            # Both are needed: for what waits too long, and for what was given up.
            (*stale, *parked) if stale and parked else (),
        )

    def _from_stream(self, mapping: Resource, stream: Resource, function: str) -> Edge:
        properties = mapping.properties
        attempts = properties.get("MaximumRetryAttempts", -1)
        age = properties.get("MaximumRecordAgeInSeconds", -1)
        on_failure = properties.get("DestinationConfig", {}).get("OnFailure", {})
        parking = self._parking(mapping.stack, on_failure.get("Destination"))
        parked = self._alarms_of(parking, "ApproximateNumberOfMessagesVisible")
        lagging = self._alarms_of(function, "IteratorAge")
        return Edge(
            "stream",
            stream.path,
            function,
            f"{attempts} times, {age} s" if attempts >= 0 and age >= 0 else None,
            parking,
            (*lagging, *parked) if lagging and parked else (),
        )

    def subscriptions(self) -> Iterator[Edge]:
        """Topics to queues and functions; people who are subscribed are no part of the system."""
        for subscription in self._all("AWS::SNS::Subscription"):
            properties = subscription.properties
            if properties["Protocol"] not in {"sqs", "lambda"}:
                continue
            topic = self._assembly.referred(subscription.stack, properties["TopicArn"])
            arn = properties.get("RedrivePolicy", {}).get("deadLetterTargetArn")
            yield Edge(
                "topic",
                topic.path,
                self._path(subscription.stack, properties["Endpoint"]),
                _SNS_RETRIES,
                self._parking(subscription.stack, arn),
                self._alarms_of(topic.path, "NumberOfNotificationsFailed"),
            )

    def notifications(self) -> Iterator[Edge]:
        """Buckets to queues."""
        for bucket in self._all("AWS::S3::Bucket"):
            configuration = bucket.properties.get("NotificationConfiguration", {})
            unknown = configuration.keys() - {"QueueConfigurations"}
            if unknown:
                raise NotImplementedError(f"{bucket}: {unknown} is a kind of edge not known here")
            for notification in configuration.get("QueueConfigurations", []):
                queue = self._assembly.referred(bucket.stack, notification["Queue"])
                beyond = self._from_queue(queue, "")
                yield Edge(
                    "bucket", bucket.path, queue.path, _S3_RETRIES, beyond.parking, beyond.alarms
                )

    def schedules(self) -> Iterator[Edge]:
        """Schedules of the templates."""
        for schedule in self._all("AWS::Scheduler::Schedule"):
            target = schedule.properties["Target"]
            group = self._path(schedule.stack, schedule.properties.get("GroupName"))
            yield Edge(
                "schedule",
                schedule.path,
                self._path(schedule.stack, target["Arn"]),
                _attempts(target.get("RetryPolicy")),
                self._parking(schedule.stack, target.get("DeadLetterConfig", {}).get("Arn")),
                self._alarms_of(group, "InvocationDroppedCount"),
            )

    def reminders(self) -> Iterator[Edge]:
        """Schedules that a function makes while it runs: its variables say what secures them.

        By convention they are `SCHEDULE_GROUP_NAME`, `REMINDER_QUEUE_ARN`, `REMINDER_ATTEMPTS`,
        `REMINDER_AGE_S` and `REMINDER_PARKING_ARN`.
        """
        for function in self._all("AWS::Lambda::Function"):
            told = function.properties.get("Environment", {}).get("Variables", {})
            if "SCHEDULE_GROUP_NAME" not in told:
                continue
            group = self._path(function.stack, told["SCHEDULE_GROUP_NAME"])
            yield Edge(
                "reminder",
                group,
                self._path(function.stack, told["REMINDER_QUEUE_ARN"]),
                _bound(told.get("REMINDER_ATTEMPTS"), told.get("REMINDER_AGE_S")),
                self._parking(function.stack, told.get("REMINDER_PARKING_ARN")),
                self._alarms_of(group, "InvocationDroppedCount"),
            )

    def invocations(self) -> Iterator[Edge]:
        """Functions that are invoked asynchronously."""
        for config in self._all("AWS::Lambda::EventInvokeConfig"):
            properties = config.properties
            function = self._path(config.stack, properties["FunctionName"])
            attempts = properties.get("MaximumRetryAttempts")
            on_failure = properties.get("DestinationConfig", {}).get("OnFailure", {})
            yield Edge(
                "invoke",
                config.path,
                function,
                None if attempts is None else f"{attempts} times",
                self._parking(config.stack, on_failure.get("Destination")),
                self._alarms_of(function, "Errors"),
            )

    KINDS: tuple[Callable[["_Walk"], Iterator[Edge]], ...] = (
        rules,
        mappings,
        subscriptions,
        notifications,
        schedules,
        reminders,
        invocations,
    )

    def _all(self, type_: str) -> list[Resource]:
        return [resource for resource in self._assembly.resources if resource.type == type_]

    def _path(self, stack: str, reference: Any) -> str:
        if reference is None or not self._assembly.refers(stack, reference):
            return str(reference)
        return self._assembly.referred(stack, reference).path

    def _parking(self, stack: str, reference: Any) -> str | None:
        """The path of a queue that waits for messages, provided that there is one."""
        if reference is None:
            return None
        queue = self._assembly.referred(stack, reference)
        return queue.path if queue.type == "AWS::SQS::Queue" else None

    def _alarms_of(self, path: str | None, metric: str) -> tuple[str, ...]:
        return tuple(self._alarms.get((path or "", metric), ()))

    def _watched(self) -> dict[tuple[str, str], list[str]]:
        """The alarms that notify somebody, by the resource (path or name) and metric they watch."""
        found: dict[tuple[str, str], list[str]] = {}
        for alarm in self._all("AWS::CloudWatch::Alarm"):
            if not alarm.properties.get("AlarmActions"):
                continue
            for dimension in alarm.properties.get("Dimensions", []):
                watched = self._watched_resource(alarm.stack, dimension["Value"])
                if watched:
                    key = (watched.path, alarm.properties["MetricName"])
                    found.setdefault(key, []).append(alarm.path)
        return found

    def _watched_resource(self, stack: str, value: Any) -> Resource | None:
        """What a dimension's value names: a resource, or one whose name is cut out of its ARN."""
        match value:
            case {"Fn::Select": [_, {"Fn::Split": [_, reference]}]}:
                value = reference
        return (
            self._assembly.referred(stack, value) if self._assembly.refers(stack, value) else None
        )


def _attempts(policy: Properties | None) -> str | None:
    policy = policy or {}
    return _bound(policy.get("MaximumRetryAttempts"), policy.get("MaximumEventAgeInSeconds"))


def _bound(attempts: int | str | None, age_s: int | str | None) -> str | None:
    return None if attempts is None or age_s is None else f"{attempts} times, {age_s} s"
