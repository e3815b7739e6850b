"""No silent loss: what every asynchronous edge of an application has to have.

    for finding in findings(Assembly(Path("cdk.out"))):
        print(finding)

In synthesis the same runs as a plug-in: see `cdk_rehearsal.topology.plugin`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from cdk_rehearsal.topology import access
from cdk_rehearsal.topology.assembly import Assembly, Resource, listed, texts
from cdk_rehearsal.topology.edges import Alarms, Edge, edges, retention_s


class Rule(Enum):
    """What is asked for. The names are what acknowledgements refer to."""

    BoundedRetry = "The retries of each edge have a bound that somebody chose"
    DeadLetterQueue = "What cannot be delivered or processed goes to a queue"
    PartialBatchResponse = "A message that fails does not bring back those that succeeded beside it"
    AlarmWithAction = "Trouble on each edge is an alarm that notifies somebody"
    ParkedMessageAlarm = (
        "The first message in a dead-letter queue is an alarm that notifies somebody"
    )
    DeadLetterRetention = "A dead-letter queue keeps messages longer than where they come from"
    VisibilityTimeout = "A message stays hidden for as long as its function may be at it"
    PermissionToSend = "Who delivers to a queue, or parks in it, may do so"
    PermissionToEncrypt = "Who delivers to a queue, or parks in it, may use its key"
    PermissionToRedrive = "A dead-letter queue takes the messages of the queues that name it"
    KnownKind = "Each way on which messages go is one that is looked at here"


_FIXES = {
    Rule.PartialBatchResponse: "Set FunctionResponseTypes to ReportBatchItemFailures, and have the "
    "function say which messages failed",
    Rule.ParkedMessageAlarm: "Make an alarm with AlarmActions on the queue's "
    "ApproximateNumberOfMessagesVisible that fires at one message",
    Rule.DeadLetterRetention: "Set its MessageRetentionPeriod to 14 days, the longest there is, "
    "and that of its source to less: of a queue's messages it counts from when they were sent",
    Rule.VisibilityTimeout: "Set VisibilityTimeout to six times the function's timeout, and add "
    "the batching window",
    Rule.PermissionToSend: "Admit the service in the queue's policy (sqs:SendMessage, for this "
    "aws:SourceArn alone), or grant sqs:SendMessage to the role",
    Rule.PermissionToEncrypt: "Use SQS' own encryption (SqsManagedSseEnabled), or a key whose "
    "policy admits the service (kms:GenerateDataKey and kms:Decrypt)",
    Rule.PermissionToRedrive: "Name the source in the dead-letter queue's RedriveAllowPolicy",
    Rule.KnownKind: "Nothing is known here of how this type retries and parks: see to it by hand, "
    "and acknowledge this",
}

_FIXES_BY_KIND = {
    Rule.BoundedRetry: {
        "rule": "Set RetryPolicy of the target, both of its bounds",
        "queue": "Set maxReceiveCount in the queue's RedrivePolicy",
        "stream": "Set MaximumRetryAttempts and MaximumRecordAgeInSeconds of the mapping",
        "schedule": "Set RetryPolicy of the target, both of its bounds",
        "reminder": "Tell the function REMINDER_ATTEMPTS and REMINDER_AGE_S",
        "invoke": "Set MaximumRetryAttempts in the function's EventInvokeConfig",
    },
    Rule.DeadLetterQueue: {
        "rule": "Set DeadLetterConfig of the target to an SQS queue",
        "queue": "Set RedrivePolicy of the queue",
        "stream": "Set DestinationConfig.OnFailure of the mapping to an SQS queue",
        "topic": "Set RedrivePolicy of the subscription",
        "bucket": "Set RedrivePolicy of the queue that the bucket notifies",
        "schedule": "Set DeadLetterConfig of the target to an SQS queue",
        "reminder": "Tell the function REMINDER_PARKING_ARN",
        "invoke": "Set DestinationConfig.OnFailure in the function's EventInvokeConfig, or its "
        "DeadLetterConfig, to an SQS queue",
    },
    Rule.AlarmWithAction: {
        "rule": "Make an alarm with AlarmActions on the rule's FailedInvocations",
        "queue": "Make alarms with AlarmActions on ApproximateAgeOfOldestMessage of the queue and "
        "on ApproximateNumberOfMessagesVisible of its dead-letter queue",
        "stream": "Make alarms with AlarmActions on the function's IteratorAge and on "
        "ApproximateNumberOfMessagesVisible of the dead-letter queue",
        "topic": "Make an alarm with AlarmActions on the topic's NumberOfNotificationsFailed",
        "bucket": "Make alarms with AlarmActions for the queue that the bucket notifies",
        "schedule": "Make an alarm with AlarmActions on InvocationDroppedCount of the schedule's "
        "group",
        "reminder": "Make an alarm with AlarmActions on InvocationDroppedCount of the group",
        "invoke": "Make an alarm with AlarmActions on the function's Errors",
    },
}


@dataclass(frozen=True)
class Finding:
    """Something that an edge lacks."""

    rule: Rule
    resource: Resource
    """Where it is to be mended."""
    says: str
    kind: str = ""
    """That of the edge, where it decides what to do."""

    @property
    def fix(self) -> str:
        """What to do."""
        return _FIXES.get(self.rule) or _FIXES_BY_KIND[self.rule][self.kind]

    def __str__(self) -> str:
        """One line: where, what, and what to do."""
        return f"{self.resource.path}: {self.says}. {self.fix}."


UNKNOWN_KINDS = ("AWS::Pipes::Pipe", "AWS::IoT::TopicRule", "AWS::KinesisFirehose::DeliveryStream")
"""Types that carry messages too, but not in this shop: they are named instead of passed over."""


def findings(assembly: Assembly) -> list[Finding]:
    """All that the edges of an application lack; none if nothing can be lost unseen."""
    found = edges(assembly)
    return [
        *_secured(found),
        *_parked(assembly, found),
        *_mapped(assembly),
        *_permitted(assembly),
        *_redriven(assembly),
        *(
            Finding(Rule.KnownKind, resource, f"{resource.type} is a kind of edge not known here")
            for resource in assembly.all_of(*UNKNOWN_KINDS)
        ),
    ]


def _secured(found: list[Edge]) -> Iterator[Finding]:
    for edge in found:
        for rule, there in (
            (Rule.BoundedRetry, edge.retries),
            (Rule.DeadLetterQueue, edge.parking),
            (Rule.AlarmWithAction, edge.alarms),
        ):
            if not there:
                way = f"the way from {edge.source} to {edge.target}"
                says = f"{way} lacks {_LACKING[rule]}"
                yield Finding(rule, edge.stated_in, says, edge.kind)


_LACKING = {
    Rule.BoundedRetry: "a bound of its retries",
    Rule.DeadLetterQueue: "a dead-letter queue or on-failure destination",
    Rule.AlarmWithAction: "an alarm with an action",
}


def _parked(assembly: Assembly, found: list[Edge]) -> Iterator[Finding]:
    alarms = Alarms(assembly)
    seen = set()
    for edge in found:
        parking = assembly.queue_at(edge.parking)
        if parking is None:
            continue  # that of somebody else, if there is one
        if parking.path not in seen and not _tells_of_the_first(alarms, parking):
            yield Finding(Rule.ParkedMessageAlarm, parking, "a message in it is no alarm")
        seen.add(parking.path)
        kept = retention_s(parking)
        if not _outlasts(edge, kept):
            yield Finding(
                Rule.DeadLetterRetention,
                parking,
                f"keeps messages for {kept} s, and {edge.source} for {edge.keeps_s} s",
            )


def _outlasts(edge: Edge, kept: int) -> bool:
    # What a queue moves keeps the time when it was sent first; elsewhere the clock starts anew.
    # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html
    keeps = edge.keeps_s or 0
    return kept > keeps if edge.kind == "queue" else kept >= keeps


def _tells_of_the_first(alarms: Alarms, parking: Resource) -> bool:
    """Whether one message is enough for an alarm, within whatever time."""
    first = {"GreaterThanOrEqualToThreshold": 1, "GreaterThanThreshold": 0}
    return any(
        0 <= alarm.properties.get("Threshold", -1) <= first.get(operator, -1)
        for alarm in alarms.of(parking.path, "ApproximateNumberOfMessagesVisible")
        for operator in [alarm.properties.get("ComparisonOperator", "")]
    )


def _mapped(assembly: Assembly) -> Iterator[Finding]:
    for mapping in assembly.all_of("AWS::Lambda::EventSourceMapping"):
        responses = mapping.properties.get("FunctionResponseTypes", [])
        if "ReportBatchItemFailures" not in responses:
            yield Finding(
                Rule.PartialBatchResponse, mapping, "one message that fails brings back its batch"
            )
        queue = assembly.find(mapping.stack, mapping.properties.get("EventSourceArn"))
        function = assembly.find(mapping.stack, mapping.properties["FunctionName"])
        if queue and function and queue.type == "AWS::SQS::Queue":
            yield from _hidden(queue, function, mapping)


def _hidden(queue: Resource, function: Resource, mapping: Resource) -> Iterator[Finding]:
    """https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html."""
    timeout = int(function.properties.get("Timeout", 3))
    window = int(mapping.properties.get("MaximumBatchingWindowInSeconds", 0))
    hidden = int(queue.properties.get("VisibilityTimeout", 30))
    needed = 6 * timeout + window
    if hidden < needed:
        yield Finding(
            Rule.VisibilityTimeout,
            queue,
            f"hides a message for {hidden} s, and {function.path} needs {needed} s "
            f"(6 times {timeout} s, and a window of {window} s)",
        )


def _permitted(assembly: Assembly) -> Iterator[Finding]:
    for sender in access.senders(assembly):
        does = "park in" if sender.parks else "deliver to"
        # What a queue's policy lacks is mended at the queue, what a role lacks at the role.
        where = sender.resource if sender.is_role else sender.queue
        if not access.may_send(assembly, sender):
            says = f"{sender.resource.path} may not {does} {sender.queue.path}"
            yield Finding(Rule.PermissionToSend, where, says)
        if not access.may_encrypt(assembly, sender):
            says = f"{sender.resource.path} may not use the key of {sender.queue.path}"
            yield Finding(Rule.PermissionToEncrypt, where, says)


def _redriven(assembly: Assembly) -> Iterator[Finding]:
    """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html."""
    for queue in assembly.all_of("AWS::SQS::Queue"):
        named = queue.properties.get("RedrivePolicy", {}).get("deadLetterTargetArn")
        parking = assembly.find(queue.stack, named)
        if parking is None:
            continue
        allowed = parking.properties.get("RedriveAllowPolicy", {})
        permission = allowed.get("redrivePermission", "allowAll")
        sources = allowed.get("sourceQueueArns", [])
        if permission == "denyAll" or (
            permission == "byQueue"
            and not any(_is(assembly, parking.stack, arn, queue) for arn in listed(sources))
        ):
            yield Finding(
                Rule.PermissionToRedrive, parking, f"does not take what {queue.path} gives up"
            )


def _is(assembly: Assembly, stack: str, arn: object, queue: Resource) -> bool:
    """Whether an ARN is that of a queue, which may go by its name."""
    if found := assembly.find(stack, arn):
        return found == queue
    name = queue.properties.get("QueueName")
    return bool(name) and texts(arn).endswith(f":{texts(name)}")
