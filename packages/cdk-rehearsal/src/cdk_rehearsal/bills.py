"""What an application costs while nobody uses it, from its templates."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from cdk_rehearsal.assembly import Assembly, Resource
from cdk_rehearsal.price_lists import Price

HOURS = 730
"""The hours of a month, as AWS counts them: https://calculator.aws/#/estimate."""

POLLERS, POLL_S = 5, 20
"""A mapping has at least so many long polls at a queue, each for so many seconds.
https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-short-and-long-polling.html"""

_NOTHING = frozenset(
    {
        *("AWS::ApiGateway::Account", "AWS::ApiGateway::Authorizer", "AWS::ApiGateway::Deployment"),
        *("AWS::ApiGateway::Method", "AWS::ApiGateway::Model", "AWS::ApiGateway::RequestValidator"),
        *("AWS::ApiGateway::Resource", "AWS::ApiGateway::RestApi", "AWS::ApiGateway::UsagePlan"),
        *("AWS::ApiGateway::ApiKey", "AWS::ApiGateway::UsagePlanKey"),
        *("AWS::ApiGatewayV2::Api", "AWS::ApiGatewayV2::Authorizer"),
        *("AWS::ApiGatewayV2::Deployment", "AWS::ApiGatewayV2::RouteResponse"),
        *("AWS::ApiGatewayV2::Integration", "AWS::ApiGatewayV2::Route", "AWS::ApiGatewayV2::Stage"),
        *("AWS::CDK::Metadata", "AWS::CloudFormation::Stack", "AWS::Cognito::UserPool"),
        *("AWS::Cognito::UserPoolClient", "AWS::Cognito::UserPoolDomain"),
        *("AWS::Cognito::UserPoolGroup", "AWS::Cognito::UserPoolResourceServer"),
        *("AWS::EventSchemas::Registry", "AWS::EventSchemas::Schema", "AWS::Events::Archive"),
        *("AWS::Events::EventBus", "AWS::Events::EventBusPolicy", "AWS::Events::Rule"),
        *("AWS::EventsV2::EventBus", "AWS::EventsV2::EventSource"),
        *("AWS::EventsV2::ResourcePolicy", "AWS::EventsV2::Subscriber"),
        *("AWS::IAM::ManagedPolicy", "AWS::IAM::Policy", "AWS::IAM::Role", "AWS::KMS::Alias"),
        *("AWS::Lambda::EventInvokeConfig", "AWS::Lambda::LayerVersion"),
        *("AWS::Lambda::Permission", "AWS::Lambda::Url", "AWS::Logs::LogGroup"),
        *("AWS::Logs::LogStream", "AWS::Logs::MetricFilter", "AWS::Logs::ResourcePolicy"),
        *("AWS::Logs::SubscriptionFilter", "AWS::S3::Bucket", "AWS::S3::BucketPolicy"),
        *("AWS::SES::ConfigurationSet", "AWS::SES::EmailIdentity", "AWS::SNS::Subscription"),
        *("AWS::SNS::Topic", "AWS::SNS::TopicPolicy", "AWS::SQS::Queue", "AWS::SQS::QueuePolicy"),
        *("AWS::Scheduler::Schedule", "AWS::Scheduler::ScheduleGroup"),
        *("AWS::StepFunctions::StateMachine", "AWS::StepFunctions::StateMachineAlias"),
        "AWS::StepFunctions::StateMachineVersion",
    }
)
"""Types that cost nothing by themselves: they are billed by requests, events or stored data."""

_SETTINGS = {
    "AWS::ApiGateway::Stage": "CacheClusterEnabled",
    "AWS::DynamoDB::GlobalTable": "WriteProvisionedThroughputSettings",
    "AWS::DynamoDB::Table": "ProvisionedThroughput",
    "AWS::Lambda::Alias": "ProvisionedConcurrencyConfig",
    "AWS::Lambda::Function": "SnapStart",
    "AWS::Lambda::Version": "ProvisionedConcurrencyConfig",
}
"""Types that cost nothing by themselves without this property."""

Units = Iterator[tuple[str, float]]
"""Names of prices, and how many units of each a month has."""


class Line(msgspec.Struct, frozen=True):
    """What the resources of one type cost in a month."""

    type: str
    items: int
    """How many resources, or metrics of alarms, cost something."""
    unit: str
    """What the price is for."""
    units: float
    """How many of them a month has, after those that are free."""
    usd: float


class IdleBill(msgspec.Struct, frozen=True):
    """What an application costs in a month while nobody uses it, the dearest first.

    Stored data are not part of it: they are left from the time when somebody did.
    """

    lines: list[Line]
    unpriced: list[str]
    """Types and properties whose price is not known."""

    @property
    def usd(self) -> float:
        """The sum, in US dollars for a month."""
        return sum(line.usd for line in self.lines)

    def as_json(self) -> dict[str, Any]:
        """Returns the bill as JSON data."""
        return {"usd": self.usd, **msgspec.to_builtins(self)}


def idle_bill(
    assembly: Assembly, prices: Mapping[str, Price], *, free_tier: bool = False
) -> IdleBill:
    """Returns what the resources cost in a month without use."""
    units: dict[str, defaultdict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    unpriced = set[str]()
    for resource in assembly.resources:
        setting = _SETTINGS.get(resource.type)
        if count := _BY_TYPE.get(resource.type):
            for price, number in count(assembly, resource):
                if price in prices:
                    units[price][resource.type].append(number)
                else:
                    unpriced.add(price)
        elif setting and resource.properties.get(setting):
            unpriced.add(f"{resource.type} with {setting}")
        elif not setting and resource.type not in _NOTHING:
            unpriced.add(resource.type)
    lines = []
    for name, by_type in units.items():
        free = float(prices[name].free if free_tier else 0)
        for type_, numbers in by_type.items():
            charged, free = max(0.0, sum(numbers) - free), max(0.0, free - sum(numbers))
            cost = charged * prices[name].usd
            lines.append(Line(type_, len(numbers), prices[name].says, charged, cost))
    return IdleBill(sorted(lines, key=lambda line: -line.usd), sorted(unpriced))


def _alarm(assembly: Assembly, alarm: Resource) -> Units:
    """Each metric costs, also those of an expression."""
    metrics = alarm.properties.get("Metrics") or [{"MetricStat": alarm.properties}]
    for metric in metrics:
        stated: Any = metric.get("MetricStat")
        if stated:
            yield "alarm_metric_fast" if int(stated.get("Period", 60)) < 60 else "alarm_metric", 1
        elif "SELECT" in str(metric.get("Expression")).upper():
            yield f"{alarm.type} with a query of metrics", 1


def _mapping(assembly: Assembly, mapping: Resource) -> Units:
    """A queue is polled all the time. Reading a stream costs nothing as long as it is empty."""
    properties = mapping.properties
    queues = [
        found
        for found in assembly.references(mapping.stack, properties.get("EventSourceArn"))
        if found.type == "AWS::SQS::Queue"
    ]
    if properties.get("ProvisionedPollerConfig"):
        yield f"{mapping.type} with ProvisionedPollerConfig", 1
    elif properties.get("Enabled") is not False:
        for queue in queues:
            price = "fifo_request" if queue.properties.get("FifoQueue") else "queue_request"
            yield price, POLLERS * HOURS * 3600 / POLL_S


def _stream(assembly: Assembly, stream: Resource) -> Units:
    mode = stream.properties.get("StreamModeDetails", {}).get("StreamMode", "PROVISIONED")
    if mode == "ON_DEMAND":
        yield "stream_hour", HOURS
    else:
        yield "shard_hour", HOURS * int(stream.properties.get("ShardCount", 1))


def _one(price: str) -> Callable[[Assembly, Resource], Units]:
    return lambda assembly, resource: iter([(price, 1)])


_BY_TYPE: Mapping[str, Callable[[Assembly, Resource], Units]] = {
    "AWS::CloudWatch::Alarm": _alarm,
    "AWS::CloudWatch::CompositeAlarm": _one("composite_alarm"),
    "AWS::CloudWatch::Dashboard": _one("dashboard"),
    "AWS::KMS::Key": _one("key"),
    "AWS::Kinesis::Stream": _stream,
    "AWS::Lambda::EventSourceMapping": _mapping,
    "AWS::SecretsManager::Secret": _one("secret"),
}
