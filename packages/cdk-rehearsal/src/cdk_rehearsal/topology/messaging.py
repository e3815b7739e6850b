"""The asynchronous edges of an application, each with its retries, dead-letter queue and alarms.

Schedules that a function creates while it runs are in no template. So an edge of the kind
`scheduled` is derived from permissions: the function may create schedules and pass a role to
EventBridge Scheduler. Environment variables of the function name the target and the dead-letter
queue. By convention, a variable whose name ends in `ATTEMPTS` is the limit of retries, and one that
ends in `AGE_S`, `AGE_SECONDS` or `AGE_IN_SECONDS` is the limit of their age.

A function may park messages itself, in a queue that an environment variable names whose name
contains `DEAD_LETTER` or `DLQ`.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cdk_rehearsal.assembly import Assembly, Properties, Resource, texts
from cdk_rehearsal.topology.invoked import invoked_in_background
from cdk_rehearsal.topology.statements import (
    DELIVERIES,
    Statement,
    allows,
    is_general,
    resources_of,
    role_of,
    role_statements,
    services_of,
)
from cdk_rehearsal.topology.values import number, statements_in, table, tables, text

DAY_S = 24 * 3600

_SNS_RETRIES = "23 days, by SNS"
"""The retries of SNS for queues and functions: no subscription changes them.
https://docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html"""

_S3_RETRIES = "by S3"
"""S3 has no setting for retries and no dead-letter queue; the queue that it notifies has one.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/EventNotifications.html"""

_LOGS_RETRIES = "24 hours, by CloudWatch Logs"
"""What cannot be delivered stays in the log group as long as it keeps its events.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/Subscriptions.html"""
LOG_TARGETS = ("AWS::Kinesis::Stream", "AWS::Lambda::")
"""The beginnings of the types to which log groups deliver by rules that are known."""

_SCHEDULER = "scheduler.amazonaws.com"
_ATTEMPTS = re.compile(r"(.*_)?ATTEMPTS")
_PARKS = re.compile(r"(.*_)?(DEAD_LETTER|DLQ)(_.*)?")
_AGE_S = re.compile(r"(.*_)?AGE_(IN_)?S(ECONDS)?")


@dataclass(frozen=True)
class Edge:
    """A connection on which messages go from one resource to another asynchronously."""

    kind: str
    source: str
    target: str
    retries: str | None
    """The limit of its retries, in words; None if there is none."""
    parking: str | None
    """The path of its dead-letter queue, or the ARN of one outside of the application."""
    alarms: tuple[str, ...]
    """Paths of the alarms on its failures that have an action."""
    stated_in: Resource
    """The resource that configures it."""
    sender: Resource | None
    """The resource that sends the messages and parks them. A queue has to admit a rule, topic or
    bucket; a role needs a grant; the dead-letter queue of a queue has to allow it. None if it is
    outside of the application."""
    keeps_s: int | None = None
    """How long a message may wait before it is parked, in seconds; None if unknown."""

    def __str__(self) -> str:
        """A line of a list."""
        return (
            f"{self.kind:9} {self.source} -> {self.target} | retries: {self.retries} "
            f"| parks in {self.parking} | {len(self.alarms)} alarms"
        )

    def as_json(self) -> dict[str, Any]:
        """Returns the edge as plain values, with paths for resources."""
        return {**vars(self), "stated_in": self.stated_in.path, "sender": _path_of(self.sender)}


def edges(assembly: Assembly) -> list[Edge]:
    """Returns all asynchronous edges, sorted by kind, source and target."""
    walk = _Walk(assembly)
    found = [edge for kind in _Walk.KINDS for edge in kind(walk)]
    found += walk.scheduled({edge.parking for edge in found})
    return sorted(found, key=lambda edge: (edge.kind, edge.source, edge.target))


def notifications(
    assembly: Assembly,
) -> Iterator[tuple[Resource, Resource | None, Mapping[str, Any]]]:
    """Yields notifications of buckets: the resource that sets them, the bucket, the configuration.

    The bucket itself sets them, or the custom resource of the CDK library.
    """
    for bucket in assembly.all_of("AWS::S3::Bucket"):
        yield bucket, bucket, table(bucket.properties.get("NotificationConfiguration"))
    for custom in assembly.all_of("Custom::S3BucketNotifications"):
        bucket_or_none = assembly.find(custom.stack, custom.properties.get("BucketName"))
        yield custom, bucket_or_none, table(custom.properties.get("NotificationConfiguration"))


def subscriptions(assembly: Assembly) -> Iterator[tuple[Resource, Any, Mapping[str, Any]]]:
    """Yields subscriptions: the resource that states each, its topic, and its properties.

    A topic may have some of its own.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-sns-topic.html
    """
    for subscription in assembly.all_of("AWS::SNS::Subscription"):
        yield subscription, subscription.properties.get("TopicArn"), subscription.properties
    for topic in assembly.all_of("AWS::SNS::Topic"):
        for inline in tables(topic.properties.get("Subscription")):
            yield topic, {"Ref": topic.logical_id}, inline


def subscribed_to_logs(assembly: Assembly) -> Iterator[tuple[Resource, Resource | None]]:
    """Yields subscription filters of log groups, each with its destination, None if outside."""
    for subscription in assembly.all_of("AWS::Logs::SubscriptionFilter"):
        arn = subscription.properties.get("DestinationArn")
        yield subscription, assembly.find(subscription.stack, arn)


def variables_of(function: Resource) -> Mapping[str, Any]:
    """Returns the environment variables of a function."""
    return table(table(function.properties.get("Environment")).get("Variables"))


def parked_by_code(assembly: Assembly) -> set[str]:
    """Returns the paths of the dead-letter queues in which functions park messages themselves."""
    return {
        found.path
        for function in assembly.all_of("AWS::Lambda::Function")
        for name, value in variables_of(function).items()
        if _PARKS.fullmatch(name)
        for found in assembly.references(function.stack, value)
        if found.type == "AWS::SQS::Queue"
    }


class Alarms:
    """The alarms that have an action, by metric and resource."""

    def __init__(self, assembly: Assembly) -> None:
        self._found: dict[tuple[str, str], list[Resource]] = {}
        for alarm in assembly.all_of("AWS::CloudWatch::Alarm"):
            properties = alarm.properties
            if not properties.get("AlarmActions") or properties.get("ActionsEnabled") is False:
                continue
            for name, value in _dimensions(properties):
                if watched := assembly.find(alarm.stack, value):
                    self._found.setdefault((watched.path, text(name)), []).append(alarm)

    def of(self, path: str | None, metric: str) -> list[Resource]:
        """Returns the alarms on a metric of the resource at a path."""
        return self._found.get((path or "", metric), [])

    def paths(self, path: str | None, metric: str) -> tuple[str, ...]:
        """Returns the paths of the alarms on a metric of the resource at a path."""
        return tuple(alarm.path for alarm in self.of(path, metric))


def _dimensions(alarm: Properties) -> Iterator[tuple[Any, Any]]:
    """Names of metrics and the values of their dimensions, including those of metric math."""
    of_math = (table(each.get("MetricStat")).get("Metric") for each in tables(alarm.get("Metrics")))
    for metric in (alarm, *map(table, of_math)):
        for dimension in tables(metric.get("Dimensions")):
            yield metric.get("MetricName"), dimension.get("Value")


class _Walk:
    """One pass over the templates of an assembly."""

    def __init__(self, assembly: Assembly) -> None:
        self._assembly = assembly
        self._alarms = Alarms(assembly)

    def rules(self) -> Iterator[Edge]:
        """Rules of a bus: each target."""
        for rule in self._all("AWS::Events::Rule"):
            for target in tables(rule.properties.get("Targets")):
                policy = table(target.get("RetryPolicy"))
                yield Edge(
                    "rule",
                    rule.path,
                    self._path(rule.stack, target.get("Arn")),
                    _attempts(policy),
                    self._parking(rule.stack, table(target.get("DeadLetterConfig")).get("Arn")),
                    self._alarms.paths(rule.path, "FailedInvocations"),
                    stated_in=rule,
                    sender=rule,
                    keeps_s=number(policy.get("MaximumEventAgeInSeconds"), DAY_S),
                )

    def subscribers(self) -> Iterator[Edge]:
        """Subscribers of Custom Event Buses; one edge each, which delivers as a role.

        https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-subscribers.html
        """
        for subscriber in self._all("AWS::EventsV2::Subscriber"):
            properties = subscriber.properties
            invoke = table(properties.get("InvokeConfiguration"))
            policy = table(properties.get("RetryPolicy"))
            on_failure = table(properties.get("OnFailureConfiguration"))
            alarms = (
                self._alarms.paths(subscriber.path, name)
                for name in ("OnFailureDestinationDelivered", "OnFailureDestinationFailed")
            )
            parked, lost = alarms
            yield Edge(
                "subscriber",
                subscriber.path,
                self._path(subscriber.stack, invoke.get("TargetArn")),
                _bound(
                    number(policy.get("MaxRetryAttempts")),
                    number(policy.get("MaxEventAgeInSeconds")),
                ),
                self._parking(subscriber.stack, on_failure.get("Arn")),
                # Both are needed: a record that cannot be written leaves only a metric.
                (*parked, *lost) if parked and lost else (),
                stated_in=subscriber,
                sender=self._assembly.find(subscriber.stack, invoke.get("RoleArn")),
                keeps_s=number(policy.get("MaxEventAgeInSeconds"), 300),
            )

    def mappings(self) -> Iterator[Edge]:
        """Event source mappings: queues and streams to functions."""
        for mapping in self._all("AWS::Lambda::EventSourceMapping"):
            arn = mapping.properties.get("EventSourceArn")
            source = self._assembly.find(mapping.stack, arn)
            function = self._function_path(mapping.stack, mapping.properties.get("FunctionName"))
            if source is not None and source.type == "AWS::SQS::Queue":
                yield self._from_queue(source, function)
            elif source is not None or ":sqs:" not in texts(arn):
                yield self._from_stream(mapping, source, function)
            # The owner of an outside queue takes care of it.

    def _from_queue(self, queue: Resource, function: str) -> Edge:
        redrive = table(queue.properties.get("RedrivePolicy"))
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
            # Both are needed: one for messages that wait too long, one for parked messages.
            (*stale, *parked) if stale and parked else (),
            stated_in=queue,
            sender=queue,
            keeps_s=retention_s(queue),
        )

    def _from_stream(self, mapping: Resource, stream: Resource | None, function: str) -> Edge:
        properties = mapping.properties
        attempts = number(properties.get("MaximumRetryAttempts"), -1)
        age = number(properties.get("MaximumRecordAgeInSeconds"), -1)
        on_failure = table(table(properties.get("DestinationConfig")).get("OnFailure"))
        parking = self._parking(mapping.stack, on_failure.get("Destination"))
        parked = self._alarms.paths(parking, "ApproximateNumberOfMessagesVisible")
        lagging = self._alarms.paths(function, "IteratorAge")
        return Edge(
            "stream",
            stream.path if stream else texts(properties.get("EventSourceArn")),
            function,
            _bound(*(None if each is None or each < 0 else each for each in (attempts, age))),
            parking,
            (*lagging, *parked) if lagging and parked else (),
            stated_in=mapping,
            sender=self._role_of(mapping.stack, properties.get("FunctionName")),
            # Parked messages only name records, so they are useful as long as the records last.
            keeps_s=_kept_s(stream) if stream else None,
        )

    def subscriptions(self) -> Iterator[Edge]:
        """Topics to queues and functions; other subscribers are outside of the application."""
        for stated_in, topic, properties in subscriptions(self._assembly):
            if text(properties.get("Protocol")) not in {"sqs", "lambda"}:
                continue
            arn = table(properties.get("RedrivePolicy")).get("deadLetterTargetArn")
            source = self._path(stated_in.stack, topic)
            yield Edge(
                "topic",
                source,
                self._path(stated_in.stack, properties.get("Endpoint")),
                _SNS_RETRIES,
                self._parking(stated_in.stack, arn),
                self._alarms.paths(source, "NumberOfNotificationsFailed"),
                stated_in=stated_in,
                sender=self._assembly.find(stated_in.stack, topic),
            )

    def notifications(self) -> Iterator[Edge]:
        """Buckets to queues; buckets to functions are asynchronous invocations."""
        for stated_in, bucket, configuration in notifications(self._assembly):
            for notification in tables(configuration.get("QueueConfigurations")):
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

    def log_subscriptions(self) -> Iterator[Edge]:
        """Log groups to functions and data streams."""
        for stated_in, target in subscribed_to_logs(self._assembly):
            if target is None or not target.type.startswith(LOG_TARGETS):
                continue
            name = stated_in.properties.get("LogGroupName")
            group = self._assembly.find(stated_in.stack, name)
            days = number(group.properties.get("RetentionInDays"), 7) if group else 7
            source = self._path(stated_in.stack, name)
            yield Edge(
                "logs",
                source,
                target.path,
                _LOGS_RETRIES,
                source if days is not None and days > 1 else None,
                self._alarms.paths(source, "DeliveryErrors"),
                stated_in=stated_in,
                sender=group,
            )

    def schedules(self) -> Iterator[Edge]:
        """Schedules in the templates."""
        for schedule in self._all("AWS::Scheduler::Schedule"):
            target = table(schedule.properties.get("Target"))
            policy = table(target.get("RetryPolicy"))
            group = self._path(schedule.stack, schedule.properties.get("GroupName"))
            yield Edge(
                "schedule",
                schedule.path,
                self._path(schedule.stack, target.get("Arn")),
                _attempts(policy),
                self._parking(schedule.stack, table(target.get("DeadLetterConfig")).get("Arn")),
                self._alarms.paths(group, "InvocationDroppedCount"),
                stated_in=schedule,
                sender=self._assembly.find(schedule.stack, target.get("RoleArn")),
                keeps_s=number(policy.get("MaximumEventAgeInSeconds"), DAY_S),
            )

    def scheduled(self, dead_letter_queues: set[str | None]) -> Iterator[Edge]:
        """Schedules that functions create while they run.

        Some of these `dead_letter_queues` of other edges may be theirs, too.
        """
        for function in self._all("AWS::Lambda::Function"):
            granted = role_statements(self._assembly, role_of(self._assembly, function))
            if any(allows(statement, "scheduler:CreateSchedule") for _, statement in granted):
                for role in self._passed(granted):
                    yield from self._created(function, role, dead_letter_queues)

    def _created(
        self, function: Resource, role: Resource, dead_letter_queues: set[str | None]
    ) -> Iterator[Edge]:
        variables = variables_of(function)
        found = (self._assembly.find(function.stack, value) for value in variables.values())
        named = list(dict.fromkeys(each for each in found if each))
        reached = list(dict.fromkeys(self._reached(role)))
        group = next((r for r in named if r.type == "AWS::Scheduler::ScheduleGroup"), None)
        possible = [
            [each for each in each_list if each.path not in dead_letter_queues]
            for each_list in (
                [each for each in named if each in reached],
                [each for each in named if each.type in DELIVERIES],
                reached,
            )
        ]
        source = group.path if group else function.path
        age_s = _variable(variables, _AGE_S)
        for target in next(filter(None, possible), [None]):
            yield Edge(
                "scheduled",
                source,
                target.path if target else f"unknown target of {role.path}",
                _bound(_variable(variables, _ATTEMPTS), age_s),
                next(
                    (r.path for r in named if r in reached and r.path in dead_letter_queues), None
                ),
                self._alarms.paths(source, "InvocationDroppedCount"),
                stated_in=function,
                sender=role,
                keeps_s=int(age_s or DAY_S),
            )

    def _passed(self, granted: list[tuple[str, Statement]]) -> Iterator[Resource]:
        """The roles that may be passed to EventBridge Scheduler."""
        for stack, statement in granted:
            if allows(statement, "iam:PassRole"):
                for role in resources_of(self._assembly, stack, statement):
                    trust = role.properties.get("AssumeRolePolicyDocument")
                    for trusted in statements_in(trust):
                        if _SCHEDULER in services_of(trusted):
                            yield role

    def _reached(self, role: Resource) -> Iterator[Resource]:
        """The resources to which a role may deliver."""
        for stack, statement in role_statements(self._assembly, role):
            if not is_general(statement):
                for resource in resources_of(self._assembly, stack, statement):
                    if allows(statement, *DELIVERIES.get(resource.type, ())):
                        yield resource

    def invocations(self) -> Iterator[Edge]:
        """Functions that are invoked asynchronously: by rules, topics, buckets, or as configured.

        https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
        """
        for function, config in self._invoked().values():
            stated_in = config or function
            properties = config.properties if config else {}
            attempts = number(properties.get("MaximumRetryAttempts"))
            destination = table(table(properties.get("DestinationConfig")).get("OnFailure"))
            parking = self._parking(stated_in.stack, destination.get("Destination"))
            letters = table(function.properties.get("DeadLetterConfig")).get("TargetArn")
            yield Edge(
                "invoke",
                stated_in.path,
                function.path,
                None if attempts is None else f"{attempts} times",
                parking or self._parking(function.stack, letters),
                self._alarms.paths(function.path, "Errors"),
                stated_in=stated_in,
                sender=role_of(self._assembly, function),
                keeps_s=number(properties.get("MaximumEventAgeInSeconds"), 6 * 3600),
            )

    def _invoked(self) -> dict[str, tuple[Resource, Resource | None]]:
        """The functions that are invoked asynchronously, each with its configuration."""
        found: dict[str, tuple[Resource, Resource | None]] = {}
        for stack, arn in self._invoking():
            if function := self._function(stack, arn):
                found[function.path] = (function, None)
        for config in self._all("AWS::Lambda::EventInvokeConfig"):
            if function := self._function(config.stack, config.properties.get("FunctionName")):
                found[function.path] = (function, config)
        return found

    def _invoked_by_subscribers(self) -> Iterator[tuple[str, Any]]:
        for subscriber in self._all("AWS::EventsV2::Subscriber"):
            invoke = table(subscriber.properties.get("InvokeConfiguration"))
            if table(invoke.get("LambdaParameters")).get("InvocationType") == "EVENT":
                yield subscriber.stack, invoke.get("TargetArn")

    def _invoking(self) -> Iterator[tuple[str, Any]]:
        """The targets of all asynchronous invocations, each with the stack of its reference."""
        for rule in self._all("AWS::Events::Rule"):
            for target in tables(rule.properties.get("Targets")):
                yield rule.stack, target.get("Arn")
        yield from self._invoked_by_subscribers()
        for stated_in, _, properties in subscriptions(self._assembly):
            yield stated_in.stack, properties.get("Endpoint")
        # https://docs.aws.amazon.com/lambda/latest/dg/with-eventbridge-scheduler.html
        for schedule in self._all("AWS::Scheduler::Schedule"):
            yield schedule.stack, table(schedule.properties.get("Target")).get("Arn")
        for stated_in, _, configuration in notifications(self._assembly):
            # CloudFormation's name and the API's, which custom resources use.
            for kind, name in (
                ("LambdaConfigurations", "Function"),
                ("LambdaFunctionConfigurations", "LambdaFunctionArn"),
            ):
                for notification in tables(configuration.get(kind)):
                    yield stated_in.stack, notification.get(name)
        for subscription, _ in subscribed_to_logs(self._assembly):
            yield subscription.stack, subscription.properties.get("DestinationArn")
        yield from invoked_in_background(self._assembly)

    KINDS: tuple[Callable[["_Walk"], Iterator[Edge]], ...] = (
        rules,
        subscribers,
        mappings,
        subscriptions,
        notifications,
        log_subscriptions,
        schedules,
        invocations,
    )

    def _all(self, type_: str) -> list[Resource]:
        return self._assembly.all_of(type_)

    def _function(self, stack: str, reference: Any) -> Resource | None:
        """The function of a reference, which may be to a version or an alias."""
        found = self._assembly.find(stack, reference)
        return found if found and found.type == "AWS::Lambda::Function" else None

    def _function_path(self, stack: str, reference: Any) -> str:
        function = self._function(stack, reference)
        return function.path if function else self._path(stack, reference)

    def _role_of(self, stack: str, function_name: Any) -> Resource | None:
        function = self._function(stack, function_name)
        if function is None:
            return None
        return role_of(self._assembly, function)

    def _path(self, stack: str, reference: Any) -> str:
        """The path of a reference's resource, or the text of an outside reference."""
        found = self._assembly.find(stack, reference)
        return found.path if found else texts(reference) or str(reference)

    def _parking(self, stack: str, reference: Any) -> str | None:
        """The path of a dead-letter queue, or the text of an outside reference."""
        if reference is None:
            return None
        queue = self._assembly.find(stack, reference)
        if queue is None:
            return texts(reference)
        return queue.path if queue.type == "AWS::SQS::Queue" else None


def retention_s(queue: Resource) -> int | None:
    """Returns how long a queue keeps a message, in seconds, or None; four days by default.

    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
    """
    return number(queue.properties.get("MessageRetentionPeriod"), 4 * DAY_S)


def _kept_s(stream: Resource) -> int | None:
    """How long a stream keeps its records, in seconds; a table's stream, for a day.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html
    """
    hours = number(stream.properties.get("RetentionPeriodHours"), 24)
    return None if hours is None else hours * 3600


def _variable(variables: Mapping[str, Any], name: re.Pattern[str]) -> str | None:
    """The number in the one variable with a name like this; None if there is not exactly one."""
    found = [str(value) for key, value in variables.items() if name.fullmatch(key)]
    return found[0] if len(found) == 1 and found[0].isdecimal() else None


def _path_of(resource: Resource | None) -> str | None:
    return resource.path if resource else None


def _attempts(policy: Mapping[str, Any]) -> str | None:
    return _bound(
        number(policy.get("MaximumRetryAttempts")), number(policy.get("MaximumEventAgeInSeconds"))
    )


def _bound(attempts: int | str | None, age_s: int | str | None) -> str | None:
    return None if attempts is None or age_s is None else f"{attempts} times, {age_s} s"
