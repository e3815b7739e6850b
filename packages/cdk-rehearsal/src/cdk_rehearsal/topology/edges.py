"""The asynchronous edges of an application, and what secures each of them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from cdk_rehearsal.topology.assembly import Assembly, Properties, Resource, texts

DAY_S = 24 * 3600

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
    """What takes what cannot be delivered or processed: the path of a queue, or what is written of
    one that is outside of the application; None if there is none."""
    alarms: tuple[str, ...]
    """Paths of the alarms that tell of trouble on it and notify somebody."""
    stated_in: Resource
    """The resource that says how the edge is secured."""
    sender: Resource | None
    """As whom messages are delivered and parked: a rule, topic or bucket, which a queue has to
    admit; a role, which has to be granted; or a queue, which its parking has to allow. None if it
    is outside of the application."""
    keeps_s: int | None = None
    """How long a message may wait before it is parked, in seconds; None where nobody can know."""

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


def notifications(assembly: Assembly) -> Iterator[tuple[Resource, Resource | None, Properties]]:
    """What tells of buckets' objects: the resource that says so, the bucket, and what it says.

    The bucket itself says it, or the custom resource with which the CDK library sets it.
    """
    for bucket in assembly.all_of("AWS::S3::Bucket"):
        yield bucket, bucket, bucket.properties.get("NotificationConfiguration", {})
    for custom in assembly.all_of("Custom::S3BucketNotifications"):
        bucket_or_none = assembly.find(custom.stack, custom.properties.get("BucketName"))
        yield custom, bucket_or_none, custom.properties.get("NotificationConfiguration", {})


class Alarms:
    """The alarms that notify somebody, by what they watch."""

    def __init__(self, assembly: Assembly) -> None:
        self._assembly = assembly
        self._found: dict[tuple[str, str], list[Resource]] = {}
        for alarm in assembly.all_of("AWS::CloudWatch::Alarm"):
            properties = alarm.properties
            if not properties.get("AlarmActions") or properties.get("ActionsEnabled") is False:
                continue
            for name, value in _dimensions(properties):
                if watched := self._watched(alarm.stack, value):
                    self._found.setdefault((watched.path, name), []).append(alarm)

    def of(self, path: str | None, metric: str) -> list[Resource]:
        """Those on a metric of the resource at a path."""
        return self._found.get((path or "", metric), [])

    def paths(self, path: str | None, metric: str) -> tuple[str, ...]:
        """The paths of those on a metric of the resource at a path."""
        return tuple(alarm.path for alarm in self.of(path, metric))

    def _watched(self, stack: str, value: Any) -> Resource | None:
        """What a dimension's value names: a resource, or one whose name is cut out of its ARN."""
        match value:
            case {"Fn::Select": [_, {"Fn::Split": [_, reference]}]}:
                value = reference
        return self._assembly.find(stack, value)


def _dimensions(alarm: Properties) -> Iterator[tuple[str, Any]]:
    """Names of metrics and the values of their dimensions, those of a metric math included."""
    stated = [alarm, *(m.get("MetricStat", {}).get("Metric", {}) for m in alarm.get("Metrics", []))]
    for metric in stated:
        for dimension in metric.get("Dimensions", []):
            yield metric["MetricName"], dimension["Value"]


class _Walk:
    """One pass over the templates of a stage."""

    def __init__(self, assembly: Assembly) -> None:
        self._assembly = assembly
        self._alarms = Alarms(assembly)

    def rules(self) -> Iterator[Edge]:
        """Rules of a bus: each target."""
        for rule in self._all("AWS::Events::Rule"):
            for target in rule.properties.get("Targets", []):
                policy = target.get("RetryPolicy", {})
                yield Edge(
                    "rule",
                    rule.path,
                    self._path(rule.stack, target["Arn"]),
                    _attempts(policy),
                    self._parking(rule.stack, target.get("DeadLetterConfig", {}).get("Arn")),
                    self._alarms.paths(rule.path, "FailedInvocations"),
                    stated_in=rule,
                    sender=rule,
                    keeps_s=policy.get("MaximumEventAgeInSeconds", DAY_S),
                )

    def mappings(self) -> Iterator[Edge]:
        """Event source mappings: queues and streams to functions."""
        for mapping in self._all("AWS::Lambda::EventSourceMapping"):
            arn = mapping.properties.get("EventSourceArn")
            source = self._assembly.find(mapping.stack, arn)
            function = self._function_path(mapping.stack, mapping.properties["FunctionName"])
            if source is not None and source.type == "AWS::SQS::Queue":
                yield self._from_queue(source, function)
            elif source is not None or ":sqs:" not in texts(arn):
                yield self._from_stream(mapping, source, function)
            # A queue of somebody else is secured by them.

    def _from_queue(self, queue: Resource, function: str) -> Edge:
        redrive = queue.properties.get("RedrivePolicy", {})
        receives = redrive.get("maxReceiveCount")
        parking = self._parking(queue.stack, redrive.get("deadLetterTargetArn"))
        parked = self._alarms.paths(parking, "ApproximateNumberOfMessagesVisible")
        stale = self._alarms.paths(queue.path, "ApproximateAgeOfOldestMessage")
        return Edge(
            "queue",
            queue.path,
            function,
            f"{receives} receives" if receives else None,
            parking,
            # Both are needed: for what waits too long, and for what was given up.
            (*stale, *parked) if stale and parked else (),
            stated_in=queue,
            sender=queue,
            keeps_s=retention_s(queue),
        )

    def _from_stream(self, mapping: Resource, stream: Resource | None, function: str) -> Edge:
        properties = mapping.properties
        attempts = properties.get("MaximumRetryAttempts", -1)
        age = properties.get("MaximumRecordAgeInSeconds", -1)
        on_failure = properties.get("DestinationConfig", {}).get("OnFailure", {})
        parking = self._parking(mapping.stack, on_failure.get("Destination"))
        parked = self._alarms.paths(parking, "ApproximateNumberOfMessagesVisible")
        lagging = self._alarms.paths(function, "IteratorAge")
        return Edge(
            "stream",
            stream.path if stream else texts(properties.get("EventSourceArn")),
            function,
            f"{attempts} times, {age} s" if attempts >= 0 and age >= 0 else None,
            parking,
            (*lagging, *parked) if lagging and parked else (),
            stated_in=mapping,
            sender=self._role_of(mapping.stack, properties["FunctionName"]),
            # What was parked names records of the stream, and is worth as much as they last.
            keeps_s=_kept_s(stream) if stream else None,
        )

    def subscriptions(self) -> Iterator[Edge]:
        """Topics to queues and functions; people who are subscribed are no part of the system."""
        for subscription in self._all("AWS::SNS::Subscription"):
            properties = subscription.properties
            if properties["Protocol"] not in {"sqs", "lambda"}:
                continue
            topic = self._assembly.find(subscription.stack, properties["TopicArn"])
            arn = properties.get("RedrivePolicy", {}).get("deadLetterTargetArn")
            source = self._path(subscription.stack, properties["TopicArn"])
            yield Edge(
                "topic",
                source,
                self._path(subscription.stack, properties["Endpoint"]),
                _SNS_RETRIES,
                self._parking(subscription.stack, arn),
                self._alarms.paths(source, "NumberOfNotificationsFailed"),
                stated_in=subscription,
                sender=topic,
            )

    def notifications(self) -> Iterator[Edge]:
        """Buckets to queues. What goes to functions is their asynchronous invocation."""
        for stated_in, bucket, configuration in notifications(self._assembly):
            for notification in configuration.get("QueueConfigurations", []):
                arn = notification.get("Queue", notification.get("QueueArn"))
                queue = self._assembly.find(stated_in.stack, arn)
                beyond = self._from_queue(queue, "") if queue else None
                yield Edge(
                    "bucket",
                    bucket.path if bucket else stated_in.path,
                    self._path(stated_in.stack, arn),
                    _S3_RETRIES,
                    beyond.parking if beyond else texts(arn),
                    beyond.alarms if beyond else ("the queue's own",),
                    stated_in=stated_in,
                    sender=bucket,
                )

    def schedules(self) -> Iterator[Edge]:
        """Schedules of the templates."""
        for schedule in self._all("AWS::Scheduler::Schedule"):
            target = schedule.properties["Target"]
            policy = target.get("RetryPolicy", {})
            group = self._path(schedule.stack, schedule.properties.get("GroupName"))
            yield Edge(
                "schedule",
                schedule.path,
                self._path(schedule.stack, target["Arn"]),
                _attempts(policy),
                self._parking(schedule.stack, target.get("DeadLetterConfig", {}).get("Arn")),
                self._alarms.paths(group, "InvocationDroppedCount"),
                stated_in=schedule,
                sender=self._assembly.find(schedule.stack, target.get("RoleArn")),
                keeps_s=policy.get("MaximumEventAgeInSeconds", DAY_S),
            )

    def reminders(self) -> Iterator[Edge]:
        """Schedules that a function makes while it runs: its variables say what secures them.

        By convention they are `SCHEDULE_GROUP_NAME`, `SCHEDULE_ROLE_ARN`, `REMINDER_QUEUE_ARN`,
        `REMINDER_ATTEMPTS`, `REMINDER_AGE_S` and `REMINDER_PARKING_ARN`.
        """
        for function in self._all("AWS::Lambda::Function"):
            told = function.properties.get("Environment", {}).get("Variables", {})
            if "SCHEDULE_GROUP_NAME" not in told:
                continue
            group = self._path(function.stack, told["SCHEDULE_GROUP_NAME"])
            yield Edge(
                "reminder",
                group,
                self._path(function.stack, told.get("REMINDER_QUEUE_ARN")),
                _bound(told.get("REMINDER_ATTEMPTS"), told.get("REMINDER_AGE_S")),
                self._parking(function.stack, told.get("REMINDER_PARKING_ARN")),
                self._alarms.paths(group, "InvocationDroppedCount"),
                stated_in=function,
                sender=self._assembly.find(function.stack, told.get("SCHEDULE_ROLE_ARN")),
                keeps_s=int(told.get("REMINDER_AGE_S", DAY_S)),
            )

    def invocations(self) -> Iterator[Edge]:
        """Functions that are invoked asynchronously: by rules, topics and buckets, or as one says.

        https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
        """
        for function, config in self._invoked().values():
            stated_in = config or function
            properties = config.properties if config else {}
            attempts = properties.get("MaximumRetryAttempts")
            destination = properties.get("DestinationConfig", {}).get("OnFailure", {})
            parking = self._parking(stated_in.stack, destination.get("Destination"))
            letters = function.properties.get("DeadLetterConfig", {}).get("TargetArn")
            yield Edge(
                "invoke",
                stated_in.path,
                function.path,
                None if attempts is None else f"{attempts} times",
                parking or self._parking(function.stack, letters),
                self._alarms.paths(function.path, "Errors"),
                stated_in=stated_in,
                sender=self._assembly.find(function.stack, function.properties.get("Role")),
                keeps_s=properties.get("MaximumEventAgeInSeconds", 6 * 3600),
            )

    def _invoked(self) -> dict[str, tuple[Resource, Resource | None]]:
        """The functions that somebody invokes without waiting, with what says how that is done."""
        found: dict[str, tuple[Resource, Resource | None]] = {}
        for stack, arn in self._invoking():
            if function := self._function(stack, arn):
                found[function.path] = (function, None)
        for config in self._all("AWS::Lambda::EventInvokeConfig"):
            if function := self._function(config.stack, config.properties["FunctionName"]):
                found[function.path] = (function, config)
        return found

    def _invoking(self) -> Iterator[tuple[str, Any]]:
        """The targets of all that invokes functions without waiting, and in which stack each is."""
        for rule in self._all("AWS::Events::Rule"):
            for target in rule.properties.get("Targets", []):
                yield rule.stack, target["Arn"]
        for subscription in self._all("AWS::SNS::Subscription"):
            yield subscription.stack, subscription.properties.get("Endpoint")
        for stated_in, _, configuration in notifications(self._assembly):
            # CloudFormation's name and the API's, which custom resources use.
            for kind, name in (
                ("LambdaConfigurations", "Function"),
                ("LambdaFunctionConfigurations", "LambdaFunctionArn"),
            ):
                for notification in configuration.get(kind, []):
                    yield stated_in.stack, notification[name]

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
        return self._assembly.all_of(type_)

    def _function(self, stack: str, reference: Any) -> Resource | None:
        """The function that is referred to, be it by a version or an alias."""
        found = self._assembly.find(stack, reference)
        while found and found.type in {"AWS::Lambda::Alias", "AWS::Lambda::Version"}:
            found = self._assembly.find(found.stack, found.properties["FunctionName"])
        return found if found and found.type == "AWS::Lambda::Function" else None

    def _function_path(self, stack: str, reference: Any) -> str:
        function = self._function(stack, reference)
        return function.path if function else self._path(stack, reference)

    def _role_of(self, stack: str, function_name: Any) -> Resource | None:
        function = self._function(stack, function_name)
        if function is None:
            return None
        return self._assembly.find(function.stack, function.properties.get("Role"))

    def _path(self, stack: str, reference: Any) -> str:
        """The path of what is referred to, or what is written of something outside."""
        found = self._assembly.find(stack, reference)
        return found.path if found else texts(reference) or str(reference)

    def _parking(self, stack: str, reference: Any) -> str | None:
        """The path of a queue that waits for messages, or what is written of one outside."""
        if reference is None:
            return None
        queue = self._assembly.find(stack, reference)
        if queue is None:
            return texts(reference)
        return queue.path if queue.type == "AWS::SQS::Queue" else None


def retention_s(queue: Resource) -> int:
    """How long a queue keeps a message, in seconds; four days if it does not say.

    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
    """
    return int(queue.properties.get("MessageRetentionPeriod", 4 * DAY_S))


def _kept_s(stream: Resource) -> int:
    """How long a stream keeps its records, in seconds; a table's, for a day.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html
    """
    return int(stream.properties.get("RetentionPeriodHours", 24)) * 3600


def _attempts(policy: Properties) -> str | None:
    return _bound(policy.get("MaximumRetryAttempts"), policy.get("MaximumEventAgeInSeconds"))


def _bound(attempts: int | str | None, age_s: int | str | None) -> str | None:
    return None if attempts is None or age_s is None else f"{attempts} times, {age_s} s"
