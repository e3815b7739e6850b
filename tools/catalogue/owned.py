"""Facts about resources that have no page of their own."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from cdk_rehearsal import Assembly, Properties, Resource
from tools.catalogue.durations import spoken
from tools.catalogue.references import worded

Facts = Iterator[tuple[str, str]]


def facts(assembly: Assembly, resource: Resource) -> tuple[tuple[str, str], ...]:
    """Returns facts about a resource of one of the `KINDS`."""
    _, describe = KINDS[resource.type]
    return tuple(
        describe(resource.properties, lambda value: worded(assembly, resource.stack, value))
    )


def _table(properties: Properties, word: Callable[[Any], str]) -> Facts:
    yield "key", _key(properties["KeySchema"])
    for index in properties.get("GlobalSecondaryIndexes", []):
        yield f"index {index['IndexName']}", _key(index["KeySchema"])
    if "StreamSpecification" in properties:
        yield "stream", properties["StreamSpecification"]["StreamViewType"].lower()
    if "TimeToLiveSpecification" in properties:
        yield "items expire", f"at {properties['TimeToLiveSpecification']['AttributeName']}"
    for replica in properties.get("Replicas", []):
        recovery = replica.get("PointInTimeRecoverySpecification", {})
        yield "point-in-time recovery", _yes(recovery.get("PointInTimeRecoveryEnabled"))
        yield "deletion protection", _yes(replica.get("DeletionProtectionEnabled"))


def _key(schema: list[dict[str, str]]) -> str:
    return " + ".join(part["AttributeName"] for part in schema)


def _yes(value: Any) -> str:
    return "yes" if value else "no"


def _rule(properties: Properties, word: Callable[[Any], str]) -> Facts:
    yield "pattern", json.dumps(properties.get("EventPattern", {}))
    for target in properties["Targets"]:
        yield "target", word(target["Arn"])


def _custom_bus(properties: Properties, word: Callable[[Any], str]) -> Facts:
    yield "retention", f"{properties['StorageConfiguration']['RetentionPeriodInDays']} d"


def _subscriber(properties: Properties, word: Callable[[Any], str]) -> Facts:
    for stated in properties["FilterConfiguration"]["Filters"]:
        yield "pattern", stated["Pattern"]
    yield "target", word(properties["InvokeConfiguration"]["TargetArn"])


def _bucket(properties: Properties, word: Callable[[Any], str]) -> Facts:
    for each in properties.get("NotificationConfiguration", {}).get("QueueConfigurations", []):
        rules = each.get("Filter", {}).get("S3Key", {}).get("Rules", [])
        yield (
            "notifies",
            f"{word(each['Queue'])} of {each['Event']}"
            + "".join(f", {rule['Name']} {rule['Value']}" for rule in rules),
        )
    yield "versions", properties.get("VersioningConfiguration", {}).get("Status", "no").lower()
    for rule in properties.get("LifecycleConfiguration", {}).get("Rules", []):
        if "ExpirationInDays" in rule:
            yield "objects expire", f"after {rule['ExpirationInDays']} d"


def _stream(properties: Properties, word: Callable[[Any], str]) -> Facts:
    yield "capacity", properties["StreamModeDetails"]["StreamMode"].lower().replace("_", " ")
    yield "retention", spoken(properties["RetentionPeriodHours"] * 3_600)


def _archive(properties: Properties, word: Callable[[Any], str]) -> Facts:
    yield "of", word(properties["SourceArn"])
    yield "retention", f"{properties['RetentionDays']} d"


def _subscription(properties: Properties, word: Callable[[Any], str]) -> Facts:
    yield "topic", word(properties["TopicArn"])
    yield "to", word(properties["Endpoint"])
    if "FilterPolicy" in properties:
        yield "filter", json.dumps(properties["FilterPolicy"])


def _schedule(properties: Properties, word: Callable[[Any], str]) -> Facts:
    yield "when", properties["ScheduleExpression"]
    yield "target", word(properties["Target"]["Arn"])


def _throttle(properties: Properties, word: Callable[[Any], str]) -> Facts:
    settings = properties.get("DefaultRouteSettings", {})
    if settings:
        yield (
            "throttle",
            f"{settings['ThrottlingRateLimit']} requests a second, "
            f"{settings['ThrottlingBurstLimit']} at once",
        )


def _log(properties: Properties, word: Callable[[Any], str]) -> Facts:
    yield "retention", f"{properties['RetentionInDays']} d"


def _plain(properties: Properties, word: Callable[[Any], str]) -> Facts:
    yield from ()


KINDS: Mapping[str, tuple[str, Callable[[Properties, Callable[[Any], str]], Facts]]] = {
    "AWS::ApiGatewayV2::Api": ("HTTP API", _plain),
    "AWS::ApiGatewayV2::Stage": ("API stage", _throttle),
    "AWS::CloudWatch::Dashboard": ("dashboard", _plain),
    "AWS::Cognito::UserPool": ("user pool", _plain),
    "AWS::DynamoDB::GlobalTable": ("table", _table),
    "AWS::Events::Archive": ("archive", _archive),
    "AWS::Events::EventBus": ("event bus", _plain),
    "AWS::Events::Rule": ("rule", _rule),
    "AWS::EventsV2::EventBus": ("event bus", _custom_bus),
    "AWS::EventsV2::Subscriber": ("subscriber", _subscriber),
    "AWS::KMS::Key": ("key", _plain),
    "AWS::Kinesis::Stream": ("stream", _stream),
    "AWS::Logs::LogGroup": ("log", _log),
    "AWS::S3::Bucket": ("bucket", _bucket),
    "AWS::SES::EmailIdentity": ("e-mail identity", _plain),
    "AWS::SNS::Subscription": ("subscription", _subscription),
    "AWS::SNS::Topic": ("topic", _plain),
    "AWS::Scheduler::Schedule": ("schedule", _schedule),
    "AWS::Scheduler::ScheduleGroup": ("schedule group", _plain),
    "AWS::SecretsManager::Secret": ("secret", _plain),
}
"""The name of each kind of resource on the pages, and the function that yields its facts."""
