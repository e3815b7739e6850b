"""What is weakened: for each property that keeps something safe, one or more ways to lose it."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Change = Callable[[Any], Any]
DELETED = object()
"""What a change returns if it takes the property away."""


@dataclass(frozen=True)
class Operator:
    """A way to weaken resources of a type, wherever its path leads.

    The path is within the properties, with `*` for each element of a list or each value of a
    mapping. One that begins with `^` is within the resource itself, and an empty one is the whole
    resource. A path through a state machine's `Definition` or a text that is JSON leads into it.
    """

    name: str
    type: str
    path: str
    change: Change


def gone(_: Any) -> Any:
    """Takes it away."""
    return DELETED


def to(value: Any) -> Change:
    """Puts `value` in its place; where that is there already, nothing is changed."""
    return lambda _: value


def times(factor: float) -> Change:
    """Makes a number larger or smaller."""
    return lambda value: type(value)(value * factor)


def without_first(value: Any) -> Any:
    """Takes the first element out of a list of several."""
    return value[1:] if isinstance(value, list) and len(value) > 1 else value


def also(value: Any) -> Change:
    """Adds an element to a list, or to one that stands without brackets."""

    def add(present: Any) -> Any:
        return [*(present if isinstance(present, list) else [present]), value]

    return add


def whole_service(actions: Any) -> Any:
    """Widens actions to all that their services have."""
    listed = actions if isinstance(actions, list) else [actions]
    return sorted({f"{action.partition(':')[0]}:*" for action in listed})


def _unless(unchanged: Any, change: Change) -> Change:
    return lambda value: value if value == unchanged else change(value)


def _lacking(service: str) -> Change:
    """Takes a service's statements out of a policy."""

    def take(statements: Any) -> Any:
        left = [
            statement
            for statement in statements
            if service not in json.dumps(statement.get("Principal", ""))
        ]
        return left if len(left) < len(statements) else statements

    return take


def _without_tls(statements: Any) -> Any:
    left = [s for s in statements if "aws:SecureTransport" not in json.dumps(s)]
    return left if len(left) < len(statements) else statements


ANY = "*"
"""Resources of all types."""


def _filtered(notification: Any) -> Any:
    """Limit a bucket's notification to keys with a suffix."""
    rules = [{"Name": "suffix", "Value": ".csv"}]
    return {**notification, "Filter": {"S3Key": {"Rules": rules}}}


def _rows() -> Iterator[tuple[str, str, str, Change]]:
    yield "any property: gone", ANY, "*", gone
    yield from _delivery()
    yield from _queues()
    yield from _streams_and_tables()
    yield from _observation()
    yield from _functions_and_workflows()
    yield from _permissions()
    yield from _storage()
    yield from _api()


def _delivery() -> Iterator[tuple[str, str, str, Change]]:
    rule, target = "AWS::Events::Rule", "Targets.*"
    yield "rule: no dead-letter queue", rule, f"{target}.DeadLetterConfig", gone
    yield "rule: no retry policy", rule, f"{target}.RetryPolicy", gone
    yield "rule: attempts unbounded", rule, f"{target}.RetryPolicy.MaximumRetryAttempts", gone
    yield "rule: no second attempt", rule, f"{target}.RetryPolicy.MaximumRetryAttempts", to(0)
    yield "rule: age unbounded", rule, f"{target}.RetryPolicy.MaximumEventAgeInSeconds", gone
    yield (
        "rule: gives up after a minute",
        rule,
        f"{target}.RetryPolicy.MaximumEventAgeInSeconds",
        to(60),
    )
    yield "rule: any source", rule, "EventPattern.source", gone
    yield "rule: any type", rule, "EventPattern.detail-type", gone
    yield "rule: a type less", rule, "EventPattern.detail-type", without_first
    yield "rule: off", rule, "State", to("DISABLED")
    yield "rule: on the default bus", rule, "EventBusName", gone
    yield "rule: events whole in the log", rule, f"{target}.InputTransformer", gone
    yield "rule: one key for all records", rule, f"{target}.KinesisParameters", gone
    yield "rule: gone", rule, "", gone
    archive = "AWS::Events::Archive"
    yield "archive: gone", archive, "", gone
    yield "archive: keeps for ever", archive, "RetentionDays", gone
    yield "archive: keeps a year", archive, "RetentionDays", to(365)
    yield "archive: of nobody's events", archive, "EventPattern.source", to(["nobody"])
    subscription = "AWS::SNS::Subscription"
    yield "subscription: no dead-letter queue", subscription, "RedrivePolicy", gone
    yield "subscription: no filter", subscription, "FilterPolicy", gone
    yield "subscription: any channel", subscription, "FilterPolicy.detail", gone
    yield "subscription: any type", subscription, "FilterPolicy.detail-type", gone
    yield "subscription: filters attributes", subscription, "FilterPolicyScope", gone
    yield "subscription: wrapped messages", subscription, "RawMessageDelivery", to(False)
    yield "subscription: gone", subscription, "", gone
    schedule = "AWS::Scheduler::Schedule"
    yield "schedule: no dead-letter queue", schedule, "Target.DeadLetterConfig", gone
    yield "schedule: no retry policy", schedule, "Target.RetryPolicy", gone
    yield "schedule: no second attempt", schedule, "Target.RetryPolicy.MaximumRetryAttempts", to(0)
    yield (
        "schedule: tries for a day",
        schedule,
        "Target.RetryPolicy.MaximumEventAgeInSeconds",
        to(86400),
    )
    yield "schedule: once a day", schedule, "ScheduleExpression", to("rate(1440 minutes)")
    yield "schedule: gone", schedule, "", gone
    function = "AWS::Lambda::Function"
    told = "Environment.Variables"
    yield "reminder: attempts unbounded", function, f"{told}.REMINDER_ATTEMPTS", gone
    yield "reminder: age unbounded", function, f"{told}.REMINDER_AGE_S", gone
    yield "reminder: no dead-letter queue", function, f"{told}.REMINDER_PARKING_ARN", gone


def _queues() -> Iterator[tuple[str, str, str, Change]]:
    queue = "AWS::SQS::Queue"
    yield "queue: no dead-letter queue", queue, "RedrivePolicy", gone
    yield "queue: receives unbounded", queue, "RedrivePolicy.maxReceiveCount", gone
    yield "queue: one receive", queue, "RedrivePolicy.maxReceiveCount", to(1)
    yield "queue: a thousand receives", queue, "RedrivePolicy.maxReceiveCount", to(1000)
    yield "queue: anybody's dead letters", queue, "RedriveAllowPolicy", gone
    yield (
        "queue: nobody's dead letters",
        queue,
        "RedriveAllowPolicy",
        to({"redrivePermission": "denyAll"}),
    )
    yield "queue: not encrypted", queue, "SqsManagedSseEnabled", to(False)
    yield "queue: encryption left open", queue, "SqsManagedSseEnabled", gone
    yield "queue: hidden for 30 seconds", queue, "VisibilityTimeout", gone
    yield "queue: hidden for half as long", queue, "VisibilityTimeout", times(0.5)
    yield (
        "queue: keeps for the usual 4 days",
        queue,
        "MessageRetentionPeriod",
        _unless(345600, gone),
    )
    yield "queue: keeps for 14 days", queue, "MessageRetentionPeriod", to(1_209_600)
    yield "queue: keeps for an hour", queue, "MessageRetentionPeriod", to(3_600)
    yield "queue: asks all the time", queue, "ReceiveMessageWaitTimeSeconds", gone
    policy, statements = "AWS::SQS::QueuePolicy", "PolicyDocument.Statement"
    yield "queue policy: gone", policy, "", gone
    yield "queue policy: no TLS needed", policy, statements, _without_tls
    for service in ("events", "sns", "s3"):
        yield (
            f"queue policy: {service} not admitted",
            policy,
            statements,
            _lacking(f"{service}.amazonaws.com"),
        )
    yield "queue policy: no condition", policy, f"{statements}.*.Condition", gone
    yield "queue policy: no source", policy, f"{statements}.*.Condition.ArnEquals", gone
    yield "queue policy: no account", policy, f"{statements}.*.Condition.StringEquals", gone
    yield "queue policy: anybody", policy, f"{statements}.*.Principal.Service", to("*")
    yield (
        "queue policy: anything",
        policy,
        f"{statements}.*.Action",
        _unless("sqs:*", also("sqs:*")),
    )
    mapping = "AWS::Lambda::EventSourceMapping"
    yield "mapping: whole batches fail", mapping, "FunctionResponseTypes", gone
    yield "mapping: concurrency unbounded", mapping, "ScalingConfig", gone
    yield "mapping: batches of 10,000", mapping, "BatchSize", to(10_000)
    yield "mapping: off", mapping, "Enabled?", to(False)
    yield "mapping: gone", mapping, "", gone


def _streams_and_tables() -> Iterator[tuple[str, str, str, Change]]:
    mapping = "AWS::Lambda::EventSourceMapping"
    yield "stream: whole batches split no more", mapping, "BisectBatchOnFunctionError", to(False)
    yield "stream: bisect left open", mapping, "BisectBatchOnFunctionError", gone
    yield "stream: attempts unbounded", mapping, "MaximumRetryAttempts", to(-1)
    yield "stream: attempts left open", mapping, "MaximumRetryAttempts", gone
    yield "stream: no second attempt", mapping, "MaximumRetryAttempts", to(0)
    yield "stream: age unbounded", mapping, "MaximumRecordAgeInSeconds", to(-1)
    yield "stream: age left open", mapping, "MaximumRecordAgeInSeconds", gone
    yield "stream: gives up after a minute", mapping, "MaximumRecordAgeInSeconds", to(60)
    yield (
        "stream: tries for longer than it keeps",
        mapping,
        "MaximumRecordAgeInSeconds",
        to(604_800),
    )
    yield "stream: no on-failure destination", mapping, "DestinationConfig", gone
    yield "stream: from now on", mapping, "StartingPosition", to("LATEST")
    yield "stream: no order", mapping, "ParallelizationFactor", to(10)
    yield "stream: no filter", mapping, "FilterCriteria", gone
    yield "stream: no window", mapping, "TumblingWindowInSeconds", gone
    table = "AWS::DynamoDB::GlobalTable"
    yield "table: no recovery", table, "Replicas.*.PointInTimeRecoverySpecification", gone
    yield (
        "table: recovery off",
        table,
        "Replicas.*.PointInTimeRecoverySpecification.PointInTimeRecoveryEnabled",
        to(False),
    )
    yield "table: may be deleted", table, "Replicas.*.DeletionProtectionEnabled", to(False)
    yield "table: deletion left open", table, "Replicas.*.DeletionProtectionEnabled", gone
    yield "table: no time to live", table, "TimeToLiveSpecification", gone
    yield "table: time to live off", table, "TimeToLiveSpecification.Enabled", to(False)
    yield "table: another time to live", table, "TimeToLiveSpecification.AttributeName", to("ttl")
    yield "table: no stream", table, "StreamSpecification", gone
    yield (
        "table: keys alone in the stream",
        table,
        "StreamSpecification.StreamViewType",
        to("KEYS_ONLY"),
    )
    yield "table: provisioned", table, "BillingMode", to("PROVISIONED")
    stream = "AWS::Kinesis::Stream"
    yield "data stream: keeps a day", stream, "RetentionPeriodHours", to(24)
    yield "data stream: not encrypted", stream, "StreamEncryption", gone
    yield (
        "data stream: a fixed number of shards",
        stream,
        "StreamModeDetails.StreamMode",
        to("PROVISIONED"),
    )
    for kept in (
        table,
        stream,
        "AWS::S3::Bucket",
        "AWS::S3::BucketPolicy",
        "AWS::Cognito::UserPool",
        "AWS::Events::Archive",
        "AWS::Events::EventBus",
        "AWS::KMS::Key",
        "AWS::SecretsManager::Secret",
    ):
        what = kept.rpartition(":")[2]
        yield f"{what}: deleted with its stack", kept, "^DeletionPolicy", to("Delete")
        yield f"{what}: deletion policy left open", kept, "^DeletionPolicy", gone
        yield f"{what}: deleted when replaced", kept, "^UpdateReplacePolicy", to("Delete")


def _observation() -> Iterator[tuple[str, str, str, Change]]:
    alarm = "AWS::CloudWatch::Alarm"
    yield "alarm: gone", alarm, "", gone
    yield "alarm: tells nobody", alarm, "AlarmActions", gone
    yield "alarm: actions off", alarm, "ActionsEnabled?", to(False)
    yield "alarm: threshold far too high", alarm, "Threshold", times(1000)
    yield "alarm: the other way round", alarm, "ComparisonOperator", to("LessThanThreshold")
    yield "alarm: after a day", alarm, "EvaluationPeriods", times(288)
    yield "alarm: silence is trouble", alarm, "TreatMissingData", to("breaching")
    yield "alarm: a minimum", alarm, "Statistic", to("Minimum")
    yield "alarm: another metric", alarm, "MetricName", to("NumberOfEmptyReceives")
    yield "alarm: no dimension", alarm, "Dimensions", gone
    yield "alarm: another namespace", alarm, "Namespace", to("AWS/Nothing")
    yield "alarm: no page", alarm, "AlarmDescription", gone
    yield "alarm: sums over a day", alarm, "Period", to(86400)
    group = "AWS::Logs::LogGroup"
    yield "log: kept for ever", group, "RetentionInDays", gone
    yield "log: kept for a day", group, "RetentionInDays", to(1)
    policy = "AWS::Logs::ResourcePolicy"
    yield "event log: nobody may write", policy, "", gone
    topic = "AWS::SNS::TopicPolicy"
    yield "topic policy: gone", topic, "", gone
    yield "topic policy: no TLS needed", topic, "PolicyDocument.Statement", _without_tls
    yield "topic policy: no condition", topic, "PolicyDocument.Statement.*.Condition", gone
    yield "topic policy: any source", topic, "PolicyDocument.Statement.*.Condition.ArnLike", gone
    yield (
        "topic policy: any account",
        topic,
        "PolicyDocument.Statement.*.Condition.StringEquals",
        gone,
    )
    yield "topic policy: anybody", topic, "PolicyDocument.Statement.*.Principal.Service", to("*")
    for service in ("events", "cloudwatch"):
        yield (
            f"topic policy: {service} not admitted",
            topic,
            "PolicyDocument.Statement",
            _lacking(f"{service}.amazonaws.com"),
        )
    yield "topic: not encrypted", "AWS::SNS::Topic", "KmsMasterKeyId", gone
    yield "dashboard: gone", "AWS::CloudWatch::Dashboard", "", gone


def _functions_and_workflows() -> Iterator[tuple[str, str, str, Change]]:
    function = "AWS::Lambda::Function"
    yield "function: times out after 3 seconds", function, "Timeout", gone
    yield "function: ten times as long", function, "Timeout", times(10)
    yield "function: not traced", function, "TracingConfig", gone
    yield "function: tracing passes through", function, "TracingConfig.Mode", to("PassThrough")
    yield "function: log as text", function, "LoggingConfig.LogFormat", to("Text")
    yield "function: log left open", function, "LoggingConfig", gone
    yield "function: an old runtime", function, "Runtime", to("python3.9")
    yield "function: another processor", function, "Architectures", to(["x86_64"])
    yield "function: half the memory", function, "MemorySize", times(0.25)
    yield (
        "function: not told where to park",
        function,
        "Environment.Variables.DEAD_LETTER_QUEUE_URL",
        gone,
    )
    yield "function: remembers for a day", function, "Environment.Variables.INBOX_DAYS", to("1")
    yield "function: concurrency taken away", function, "ReservedConcurrentExecutions?", to(0)
    machine = "AWS::StepFunctions::StateMachine"
    yield "workflow: not traced", machine, "TracingConfiguration.Enabled", to(False)
    yield "workflow: not logged", machine, "LoggingConfiguration", gone
    yield "workflow: log of errors alone", machine, "LoggingConfiguration.Level", to("ERROR")
    yield (
        "workflow: data in the log",
        machine,
        "LoggingConfiguration.IncludeExecutionData",
        to(True),
    )
    yield "workflow: goes on for ever", machine, "Definition.TimeoutSeconds", gone
    yield "step: no retry", machine, "Definition.States.*.Retry", gone
    yield "step: no catch", machine, "Definition.States.*.Catch", gone
    yield "step: waits for ever", machine, "Definition.States.*.TimeoutSeconds", gone
    yield "step: no heartbeat", machine, "Definition.States.*.HeartbeatSeconds", gone
    yield "step: a hundred attempts", machine, "Definition.States.*.Retry.*.MaxAttempts", to(100)
    yield "step: retries in step", machine, "Definition.States.*.Retry.*.JitterStrategy", gone
    yield "step: waits as long each time", machine, "Definition.States.*.Retry.*.BackoffRate", to(1)
    yield (
        "step: any error is retried",
        machine,
        "Definition.States.*.Retry.*.ErrorEquals",
        to(["States.ALL"]),
    )
    yield (
        "step: an error less is retried",
        machine,
        "Definition.States.*.Retry.*.ErrorEquals",
        without_first,
    )
    yield (
        "step: any error is caught",
        machine,
        "Definition.States.*.Catch.*.ErrorEquals",
        to(["States.ALL"]),
    )
    yield (
        "step: the failure replaces the event",
        machine,
        "Definition.States.*.Catch.*.ResultPath",
        to("$"),
    )


def _permissions() -> Iterator[tuple[str, str, str, Change]]:
    policy, statement = "AWS::IAM::Policy", "PolicyDocument.Statement.*"
    yield "role: any resource", policy, f"{statement}.Resource", _unless("*", to("*"))
    yield "role: a resource more", policy, f"{statement}.Resource", _unless("*", also("*"))
    yield "role: any action of the service", policy, f"{statement}.Action", whole_service
    yield "role: any action", policy, f"{statement}.Action", to("*")
    yield "role: no condition", policy, f"{statement}.Condition", gone
    yield "role: a condition less", policy, f"{statement}.Condition.*", gone
    yield "role: what is excluded is not", policy, f"{statement}.NotResource", to("arn:aws:none:::")
    yield "role: policy gone", policy, "", gone
    role = "AWS::IAM::Role"
    yield (
        "role: trusts without condition",
        role,
        "AssumeRolePolicyDocument.Statement.*.Condition",
        gone,
    )
    yield (
        "role: trusts anybody",
        role,
        "AssumeRolePolicyDocument.Statement.*.Principal",
        to({"AWS": "*"}),
    )
    yield (
        "role: a policy of AWS",
        role,
        "ManagedPolicyArns?",
        to(["arn:aws:iam::aws:policy/AdministratorAccess"]),
    )
    permission = "AWS::Lambda::Permission"
    yield "function: any API may invoke", permission, "SourceArn", gone
    yield "function: anybody may invoke", permission, "Principal", to("*")
    yield "function: may not be invoked", permission, "", gone
    key = "AWS::KMS::Key"
    yield "key: does not rotate", key, "EnableKeyRotation", to(False)
    yield "key: rotation left open", key, "EnableKeyRotation", gone
    yield "key: the bus not admitted", key, "KeyPolicy.Statement", _lacking("events.amazonaws.com")
    yield "key: anybody", key, "KeyPolicy.Statement.*.Principal", to("*")
    secret = "AWS::SecretsManager::Secret"
    yield "secret: short", secret, "GenerateSecretString.PasswordLength", to(8)
    yield "secret: written in the template", secret, "GenerateSecretString", gone


def _storage() -> Iterator[tuple[str, str, str, Change]]:
    bucket = "AWS::S3::Bucket"
    yield "bucket: no versions", bucket, "VersioningConfiguration", gone
    yield "bucket: versions suspended", bucket, "VersioningConfiguration.Status", to("Suspended")
    yield "bucket: not encrypted", bucket, "BucketEncryption", gone
    yield "bucket: open to the public", bucket, "PublicAccessBlockConfiguration", gone
    yield "bucket: a part open to the public", bucket, "PublicAccessBlockConfiguration.*", to(False)
    yield "bucket: owned by whoever writes", bucket, "OwnershipControls", gone
    yield "bucket: kept for ever", bucket, "LifecycleConfiguration", gone
    yield (
        "bucket: files kept for ever",
        bucket,
        "LifecycleConfiguration.Rules.*.ExpirationInDays",
        gone,
    )
    yield (
        "bucket: gone before they are read",
        bucket,
        "LifecycleConfiguration.Rules.*.ExpirationInDays",
        to(1),
    )
    yield (
        "bucket: versions kept for ever",
        bucket,
        "LifecycleConfiguration.Rules.*.NoncurrentVersionExpiration",
        gone,
    )
    yield (
        "bucket: parts kept for ever",
        bucket,
        "LifecycleConfiguration.Rules.*.AbortIncompleteMultipartUpload",
        gone,
    )
    yield "bucket: lifecycle off", bucket, "LifecycleConfiguration.Rules.*.Status", to("Disabled")
    heard = "NotificationConfiguration.QueueConfigurations.*"
    yield "bucket: notifies nobody", bucket, "NotificationConfiguration", gone
    yield "bucket: notifies of some keys only", bucket, heard, _filtered
    yield "bucket: notifies of fewer events", bucket, f"{heard}.Event", to("s3:ObjectCreated:Put")
    yield "bucket: policy comes too late", bucket, "^DependsOn", gone
    policy = "AWS::S3::BucketPolicy"
    yield "bucket policy: gone", policy, "", gone
    yield "bucket policy: no condition", policy, "PolicyDocument.Statement.*.Condition", gone


def _api() -> Iterator[tuple[str, str, str, Change]]:
    route = "AWS::ApiGatewayV2::Route"
    yield "route: open to anybody", route, "AuthorizationType", to("NONE")
    yield "route: no authorizer", route, "AuthorizerId", gone
    stage = "AWS::ApiGatewayV2::Stage"
    yield "api: not throttled", stage, "DefaultRouteSettings", gone
    yield "api: no limit in the long run", stage, "DefaultRouteSettings.ThrottlingRateLimit", gone
    yield "api: no limit of bursts", stage, "DefaultRouteSettings.ThrottlingBurstLimit", gone
    yield (
        "api: far too much admitted",
        stage,
        "DefaultRouteSettings.ThrottlingRateLimit",
        times(1000),
    )
    yield "api: no access log", stage, "AccessLogSettings", gone
    yield "api: a field less in the log", stage, "AccessLogSettings.Format.*", gone
    authorizer = "AWS::ApiGatewayV2::Authorizer"
    yield "authorizer: any audience", authorizer, "JwtConfiguration.Audience", to([])
    yield (
        "authorizer: another issuer",
        authorizer,
        "JwtConfiguration.Issuer",
        to("https://example.com"),
    )
    yield "authorizer: token from anywhere", authorizer, "IdentitySource", to([])
    integration = "AWS::ApiGatewayV2::Integration"
    yield "integration: another format", integration, "PayloadFormatVersion", to("1.0")
    pool = "AWS::Cognito::UserPool"
    yield "users: short passwords", pool, "Policies.PasswordPolicy.MinimumLength", to(6)
    yield "users: simple passwords", pool, "Policies.PasswordPolicy.Require*", to(False)
    yield "users: no password policy", pool, "Policies", gone
    yield "users: no second factor", pool, "MfaConfiguration", to("OFF")
    yield "users: may be deleted", pool, "DeletionProtection", to("INACTIVE")
    yield "users: address not verified", pool, "AutoVerifiedAttributes", gone
    yield "users: password reset by anybody", pool, "AccountRecoverySetting", gone
    client = "AWS::Cognito::UserPoolClient"
    yield "users: told who exists", client, "PreventUserExistenceErrors", to("LEGACY")
    yield (
        "users: password sent as it is",
        client,
        "ExplicitAuthFlows",
        also("ALLOW_USER_PASSWORD_AUTH"),
    )
    yield "users: tokens last a day", client, "AccessTokenValidity", to(1440)


OPERATORS = tuple(Operator(*row) for row in _rows())
