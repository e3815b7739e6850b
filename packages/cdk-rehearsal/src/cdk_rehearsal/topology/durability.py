"""No message is lost without notice: the rules for every asynchronous edge of an application.

    for loss in losses(Assembly(Path("cdk.out"))):
        print(loss)

In synthesis, the same check runs as a plug-in: see `cdk_rehearsal.validation`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Literal, get_args

from cdk_rehearsal.assembly import Assembly, Resource, listed, texts
from cdk_rehearsal.patterns import PatternError
from cdk_rehearsal.target_inputs import InputTransformer
from cdk_rehearsal.topology import access
from cdk_rehearsal.topology.blind_spots import blind_spots, path_of
from cdk_rehearsal.topology.dead_ends import dead_ends
from cdk_rehearsal.topology.messaging import Alarms, Edge, edges, retention_s
from cdk_rehearsal.topology.statements import allows, resources_of, role_statements
from cdk_rehearsal.topology.values import number, table, tables, text
from cdk_rehearsal.topology.workflow_tasks import STATE_MACHINE


class DurabilityRule(Enum):
    """The rules. Acknowledgements refer to their names."""

    BoundedRetry = "The retries of each edge have an explicit limit"
    DeadLetterQueue = "A message that cannot be delivered or processed goes to a queue"
    PartialBatchResponse = "A failed message does not repeat the others of its batch"
    AlarmWithAction = "Failures on each edge raise an alarm with an action"
    ParkedMessageAlarm = "The first message in a dead-letter queue raises an alarm with an action"
    DeadLetterRetention = "A dead-letter queue keeps messages longer than their source"
    VisibilityTimeout = "A message stays hidden as long as its function may process it"
    PermissionToSend = "The sender of messages to a queue has permission to send"
    PermissionToEncrypt = "The sender of messages to a queue has permission to use its key"
    PermissionToRedrive = "A dead-letter queue accepts messages of the queues that name it"
    DeliverableInput = "What a rule makes of an event for its target can be delivered"
    KnownReceiver = "Something in the templates receives what is sent"
    KnownKind = "Each edge is of a kind that these rules cover, with values in the template"


_FIXES = {
    DurabilityRule.PartialBatchResponse: "Set FunctionResponseTypes to ReportBatchItemFailures, "
    "and return the failed messages from the function",
    DurabilityRule.ParkedMessageAlarm: "Add an alarm with AlarmActions on the queue's "
    "ApproximateNumberOfMessagesVisible with a threshold of one message",
    DurabilityRule.DeadLetterRetention: "Set its MessageRetentionPeriod to 14 days, the maximum, "
    "and that of its source to less: for messages of a queue, the period starts when they are sent",
    DurabilityRule.VisibilityTimeout: "Set VisibilityTimeout to six times the function's timeout, "
    "plus the batching window",
    DurabilityRule.PermissionToSend: "Admit the service in the queue's policy (sqs:SendMessage, "
    "only for this aws:SourceArn), or grant sqs:SendMessage to the role",
    DurabilityRule.PermissionToEncrypt: "Use the encryption of SQS (SqsManagedSseEnabled), or a "
    "key whose policy admits the service (kms:GenerateDataKey and kms:Decrypt)",
    DurabilityRule.PermissionToRedrive: "Name the source in the dead-letter queue's "
    "RedriveAllowPolicy",
    DurabilityRule.DeliverableInput: "Remove the quotation marks around the variable in the "
    "target's InputTemplate, or select text with its input path",
    DurabilityRule.KnownReceiver: "Add its receiver to the templates, or acknowledge this finding "
    "with the name of the application that receives the messages",
    DurabilityRule.KnownKind: "Check by hand how it retries and parks messages, and acknowledge "
    "this finding",
}

_FIXES_BY_KIND = {
    DurabilityRule.BoundedRetry: {
        "rule": "Set RetryPolicy of the target, both of its bounds",
        "subscriber": "Set RetryPolicy of the subscriber, both of its limits: the defaults are 5 "
        "retries and 300 seconds",
        "queue": "Set maxReceiveCount in the queue's RedrivePolicy",
        "stream": "Set MaximumRetryAttempts and MaximumRecordAgeInSeconds of the mapping",
        "schedule": "Set RetryPolicy of the target, both of its bounds",
        "scheduled": "Set RetryPolicy of the schedules from two environment variables of the "
        "function, whose names end in ATTEMPTS and AGE_S",
        "invoke": "Set MaximumRetryAttempts in the function's EventInvokeConfig",
    },
    DurabilityRule.DeadLetterQueue: {
        "rule": "Set DeadLetterConfig of the target to an SQS queue",
        "subscriber": "Set OnFailureConfiguration of the subscriber to an SQS queue",
        "queue": "Set RedrivePolicy of the queue",
        "stream": "Set DestinationConfig.OnFailure of the mapping to an SQS queue",
        "topic": "Set RedrivePolicy of the subscription",
        "bucket": "Set RedrivePolicy of the queue that the bucket notifies",
        "logs": "Set RetentionInDays of the log group to three days or more: its events can be "
        "read again, after CloudWatch Logs gives up",
        "schedule": "Set DeadLetterConfig of the target to an SQS queue",
        "scheduled": "Set DeadLetterConfig of the schedules to the dead-letter queue of their "
        "target, from an environment variable of the function, and let their role send to it",
        "invoke": "Set DestinationConfig.OnFailure in the function's EventInvokeConfig, or its "
        "DeadLetterConfig, to an SQS queue",
    },
    DurabilityRule.AlarmWithAction: {
        "rule": "Add an alarm with AlarmActions on the rule's FailedInvocations",
        "subscriber": "Add alarms with AlarmActions on the subscriber's "
        "OnFailureDestinationDelivered and OnFailureDestinationFailed",
        "queue": "Add alarms with AlarmActions on ApproximateAgeOfOldestMessage of the queue and "
        "on ApproximateNumberOfMessagesVisible of its dead-letter queue",
        "stream": "Add alarms with AlarmActions on the function's IteratorAge and on "
        "ApproximateNumberOfMessagesVisible of the dead-letter queue",
        "topic": "Add an alarm with AlarmActions on the topic's NumberOfNotificationsFailed",
        "bucket": "Add alarms with AlarmActions for the queue that the bucket notifies",
        "logs": "Add an alarm with AlarmActions on DeliveryErrors (namespace AWS/Logs) of the log "
        "group and filter",
        "schedule": "Add an alarm with AlarmActions on InvocationDroppedCount of the schedule's "
        "group",
        "scheduled": "Add an alarm with AlarmActions on InvocationDroppedCount of the group, and "
        "give its name to the function in an environment variable",
        "invoke": "Add an alarm with AlarmActions on the function's Errors",
        "workflow": "Add an alarm with AlarmActions on the workflow's ExecutionsFailed",
    },
}

_LACKING = {
    DurabilityRule.BoundedRetry: "a limit of its retries",
    DurabilityRule.DeadLetterQueue: "a dead-letter queue or on-failure destination",
    DurabilityRule.AlarmWithAction: "an alarm with an action",
}

Severity = Literal["high", "medium", "low"]

_SEVERITIES: Mapping[DurabilityRule, Severity] = {
    DurabilityRule.PermissionToSend: "high",
    DurabilityRule.PermissionToEncrypt: "high",
    DurabilityRule.PermissionToRedrive: "high",
    DurabilityRule.DeadLetterQueue: "high",
    DurabilityRule.DeadLetterRetention: "high",
    DurabilityRule.KnownKind: "high",
    DurabilityRule.DeliverableInput: "high",
    DurabilityRule.KnownReceiver: "medium",
    DurabilityRule.VisibilityTimeout: "medium",
    DurabilityRule.PartialBatchResponse: "medium",
    DurabilityRule.ParkedMessageAlarm: "medium",
    DurabilityRule.BoundedRetry: "low",
    DurabilityRule.AlarmWithAction: "low",
}
"""High: a message gets lost. Medium: it is processed again, or waits unnoticed. Low: a failure is
noticed late."""


@dataclass(frozen=True)
class Loss:
    """A way to lose messages without notice."""

    rule: DurabilityRule
    resource: Resource
    """The resource to change."""
    says: str
    kind: str = ""
    """The kind of the edge, if the fix depends on it."""
    ends: tuple[str, ...] = ()
    """The paths of the resources at both ends of the edge, unless the text names them."""

    @property
    def severity(self) -> Severity:
        """How bad it is: high if a message gets lost."""
        return _SEVERITIES[self.rule]

    @property
    def fix(self) -> str:
        """The remedy."""
        return _FIXES.get(self.rule) or _FIXES_BY_KIND[self.rule][self.kind]

    def __str__(self) -> str:
        """One line: the path, the problem, and the remedy."""
        between = f" ({' -> '.join(self.ends)})" if self.ends else ""
        return f"{self.resource.path}: {self.says}{between}. {self.fix}."

    def as_json(self) -> dict[str, str]:
        """Returns the finding as plain values, with the path of the resource."""
        rule, path = self.rule.name, self.resource.path
        known = {"rule": rule, "path": path, "says": self.says, "fix": self.fix}
        return {**known, "severity": self.severity, "ends": " -> ".join(self.ends)}


def losses(assembly: Assembly) -> list[Loss]:
    """Returns all ways to lose messages without notice; empty if every edge is safe."""
    found = edges(assembly)
    return [
        *_secured(found),
        *_parked(assembly, found),
        *_mapped(assembly),
        *_permitted(assembly),
        *_redriven(assembly),
        *_executed(assembly),
        *_undelivered(assembly),
        *(Loss(DurabilityRule.KnownReceiver, *each) for each in dead_ends(assembly)),
        *(Loss(DurabilityRule.KnownKind, *each) for each in blind_spots(assembly)),
    ]


def worst(found: Sequence[Loss], most: int) -> list[Loss]:
    """Returns the worst findings, up to a number of them, in their order."""
    by_severity = sorted(found, key=lambda loss: [*get_args(Severity)].index(loss.severity))
    chosen = set(map(id, by_severity[:most]))
    return [loss for loss in found if id(loss) in chosen]


def _secured(found: list[Edge]) -> Iterator[Loss]:
    for edge in found:
        for rule, there in (
            (DurabilityRule.BoundedRetry, edge.retries),
            (DurabilityRule.DeadLetterQueue, edge.parking),
            (DurabilityRule.AlarmWithAction, edge.alarms),
        ):
            if not there:
                says = f"the edge from {edge.source} to {edge.target} lacks {_LACKING[rule]}"
                yield Loss(rule, edge.stated_in, says, edge.kind)


def _parked(assembly: Assembly, found: list[Edge]) -> Iterator[Loss]:
    alarms = Alarms(assembly)
    seen = set()
    for edge in found:
        parking = assembly.queue_at(edge.parking)
        if parking is None:
            continue  # It is outside of the application, or there is none.
        if parking.path not in seen and not _raises_alarm_at_first(alarms, parking):
            yield Loss(
                DurabilityRule.ParkedMessageAlarm,
                parking,
                "a message in it raises no alarm with an action",
                ends=(edge.source, edge.target),
            )
        seen.add(parking.path)
        kept = retention_s(parking)
        if not _outlasts(edge, parking):
            yield Loss(
                DurabilityRule.DeadLetterRetention,
                parking,
                f"keeps messages for {_seconds(kept)}, but {edge.source} for "
                f"{_seconds(edge.keeps_s)}",
            )


def _outlasts(edge: Edge, parking: Resource) -> bool:
    """Whether a dead-letter queue keeps messages longer than they may wait before.

    A message that a standard queue moves keeps the time when it was sent. In a FIFO queue, and
    after other senders, the period starts again.
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/setting-up-dead-letter-queue-retention.html
    """
    kept, keeps = retention_s(parking), edge.keeps_s or 0
    if kept is None:
        return False
    fifo = str(parking.properties.get("FifoQueue")).lower() == "true"
    return kept > keeps if edge.kind == "queue" and not fifo else kept >= keeps


def _seconds(number_: int | None) -> str:
    return "a time known only when it is deployed" if number_ is None else f"{number_} s"


def _raises_alarm_at_first(alarms: Alarms, parking: Resource) -> bool:
    """Whether one message raises an alarm."""
    first = {"GreaterThanOrEqualToThreshold": 1, "GreaterThanThreshold": 0}
    return any(
        threshold is not None and 0 <= threshold <= first.get(operator, -1)
        for alarm in alarms.of(parking.path, "ApproximateNumberOfMessagesVisible")
        for threshold in [number(alarm.properties.get("Threshold"))]
        for operator in [text(alarm.properties.get("ComparisonOperator"))]
    )


def _mapped(assembly: Assembly) -> Iterator[Loss]:
    for mapping in assembly.all_of("AWS::Lambda::EventSourceMapping"):
        responses = mapping.properties.get("FunctionResponseTypes", [])
        if "ReportBatchItemFailures" not in responses:
            yield Loss(
                DurabilityRule.PartialBatchResponse,
                mapping,
                "one failed message repeats its whole batch",
                ends=(
                    path_of(assembly, mapping, mapping.properties.get("EventSourceArn")),
                    path_of(assembly, mapping, mapping.properties.get("FunctionName")),
                ),
            )
        queue = assembly.find(mapping.stack, mapping.properties.get("EventSourceArn"))
        function = assembly.find(mapping.stack, mapping.properties.get("FunctionName"))
        if queue and function and queue.type == "AWS::SQS::Queue":
            yield from _hidden(queue, function, mapping)


def _hidden(queue: Resource, function: Resource, mapping: Resource) -> Iterator[Loss]:
    """https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html."""
    timeout = number(function.properties.get("Timeout"), 3)
    window = number(mapping.properties.get("MaximumBatchingWindowInSeconds"), 0)
    hidden = number(queue.properties.get("VisibilityTimeout"), 30)
    if timeout is None or window is None or hidden is None:
        yield Loss(
            DurabilityRule.VisibilityTimeout,
            queue,
            f"hides a message for {_seconds(hidden)}, but {function.path} has a timeout of "
            f"{_seconds(timeout)}, with a window of {_seconds(window)}",
        )
        return
    needed = 6 * timeout + window
    if hidden < needed:
        yield Loss(
            DurabilityRule.VisibilityTimeout,
            queue,
            f"hides a message for {hidden} s, but {function.path} needs {needed} s "
            f"(6 times {timeout} s, plus a window of {window} s)",
        )


def _permitted(assembly: Assembly) -> Iterator[Loss]:
    for sender in access.senders(assembly):
        does = "park in" if sender.parks else "deliver to"
        # A service is admitted by the queue's policy, a role by its own.
        where = sender.resource if sender.is_role else sender.queue
        if not access.may_send(assembly, sender):
            says = f"{sender.resource.path} may not {does} {sender.queue.path}"
            yield Loss(DurabilityRule.PermissionToSend, where, says)
        if not access.may_encrypt(assembly, sender):
            says = f"{sender.resource.path} may not use the key of {sender.queue.path}"
            yield Loss(DurabilityRule.PermissionToEncrypt, where, says)


def _redriven(assembly: Assembly) -> Iterator[Loss]:
    """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html."""
    for queue in assembly.all_of("AWS::SQS::Queue"):
        named = table(queue.properties.get("RedrivePolicy")).get("deadLetterTargetArn")
        parking = assembly.find(queue.stack, named)
        if parking is None:
            continue
        allowed = table(parking.properties.get("RedriveAllowPolicy"))
        permission = allowed.get("redrivePermission", "allowAll")
        sources = allowed.get("sourceQueueArns", [])
        if permission == "denyAll" or (
            permission == "byQueue"
            and not any(_is(assembly, parking.stack, arn, queue) for arn in listed(sources))
        ):
            yield Loss(
                DurabilityRule.PermissionToRedrive,
                parking,
                f"does not accept the messages that {queue.path} moves to its dead-letter queue",
            )


def _executed(assembly: Assembly) -> Iterator[Loss]:
    """Workflows that nobody waits for.

    https://docs.aws.amazon.com/step-functions/latest/dg/procedure-cw-metrics.html
    """
    alarms = Alarms(assembly)
    for machine in assembly.all_of(STATE_MACHINE):
        if not alarms.of(machine.path, "ExecutionsFailed") and not _is_awaited(assembly, machine):
            says = "an execution that fails raises no alarm with an action"
            yield Loss(DurabilityRule.AlarmWithAction, machine, says, "workflow")


def _is_awaited(assembly: Assembly, machine: Resource) -> bool:
    """Whether all that may start an Express workflow wait for its result."""
    starting = [
        statement
        for role in assembly.all_of("AWS::IAM::Role")
        for stack, statement in role_statements(assembly, role)
        if allows(statement, "states:StartExecution", "states:StartSyncExecution")
        and machine in resources_of(assembly, stack, statement)
    ]
    return (
        machine.properties.get("StateMachineType") == "EXPRESS"
        and bool(starting)
        and not any(allows(statement, "states:StartExecution") for statement in starting)
    )


def _undelivered(assembly: Assembly) -> Iterator[Loss]:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html."""
    for rule in assembly.all_of("AWS::Events::Rule"):
        for target in tables(rule.properties.get("Targets")):
            definition = table(target.get("InputTransformer"))
            paths = table(definition.get("InputPathsMap"))
            try:
                transformer = InputTransformer(
                    {name: texts(path) for name, path in paths.items()},
                    texts(definition.get("InputTemplate", "none")),
                )
            except PatternError:
                continue  # AWS refuses it, and so does the rehearsal when it loads the template.
            for name in transformer.undeliverable():
                yield Loss(
                    DurabilityRule.DeliverableInput,
                    rule,
                    f"its target {texts(target.get('Id', ''))} gets no event: the input template "
                    f"has quotation marks around <{name}>, which is an object or array",
                )


def _is(assembly: Assembly, stack: str, arn: object, queue: Resource) -> bool:
    """Whether an ARN is that of a queue, which may be written with its name."""
    if found := assembly.find(stack, arn):
        return found == queue
    name = queue.properties.get("QueueName")
    return bool(name) and texts(arn).endswith(f":{texts(name)}")
