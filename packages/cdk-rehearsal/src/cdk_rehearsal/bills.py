"""What an application costs: idle, from its templates, and in use, from what a rehearsal uses."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from cdk_rehearsal.assembly import Assembly, Resource
from cdk_rehearsal.billing import DATA_KEY_S, POLL_S, POLLERS, empty_polls
from cdk_rehearsal.errors import RehearsalError
from cdk_rehearsal.price_lists import Price

HOURS = 730
"""The hours of a month, as AWS counts them: https://calculator.aws/#/estimate."""

_NOTHING = frozenset(
    {
        *("AWS::ApiGateway::Account", "AWS::ApiGateway::Authorizer", "AWS::ApiGateway::Deployment"),
        *("AWS::ApiGateway::Method", "AWS::ApiGateway::Model", "AWS::ApiGateway::RequestValidator"),
        *("AWS::ApiGateway::Resource", "AWS::ApiGateway::RestApi", "AWS::ApiGateway::UsagePlan"),
        *("AWS::ApiGateway::ApiKey", "AWS::ApiGateway::UsagePlanKey"),
        *("AWS::ApiGatewayV2::Api", "AWS::ApiGatewayV2::Authorizer"),
        *("AWS::ApiGatewayV2::Deployment", "AWS::ApiGatewayV2::RouteResponse"),
        *("AWS::ApiGatewayV2::Integration", "AWS::ApiGatewayV2::Route", "AWS::ApiGatewayV2::Stage"),
        *("AWS::Budgets::Budget", "AWS::CDK::Metadata", "AWS::CloudFormation::Stack"),
        # Deployments of functions are free: https://aws.amazon.com/codedeploy/pricing/
        *("AWS::CodeDeploy::Application", "AWS::CodeDeploy::DeploymentConfig"),
        *("AWS::CodeDeploy::DeploymentGroup", "AWS::Cognito::UserPool"),
        *("AWS::Cognito::UserPoolClient", "AWS::Cognito::UserPoolDomain"),
        *("AWS::Cognito::UserPoolGroup", "AWS::Cognito::UserPoolResourceServer"),
        *("AWS::EventSchemas::Registry", "AWS::EventSchemas::Schema", "AWS::Events::Archive"),
        *("AWS::Events::EventBus", "AWS::Events::EventBusPolicy", "AWS::Events::Rule"),
        *("AWS::EventsV2::EventBus", "AWS::EventsV2::EventSource"),
        *("AWS::EventsV2::ResourcePolicy", "AWS::EventsV2::Subscriber"),
        *("AWS::IAM::ManagedPolicy", "AWS::IAM::Policy", "AWS::IAM::Role", "AWS::KMS::Alias"),
        *("AWS::Lambda::EventInvokeConfig", "AWS::Lambda::LayerVersion"),
        *("AWS::Lambda::Permission", "AWS::Lambda::Url", "AWS::Logs::LogGroup"),
        *("AWS::Logs::LogStream", "AWS::Logs::MetricFilter", "AWS::Logs::QueryDefinition"),
        "AWS::Logs::ResourcePolicy",
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


OUTSIDE = ("email", "sms", "topic_message_outside", "requests to ")
"""Beginnings of names of what is not part of the architecture: messages, and requests to hosts."""


class Use(NamedTuple):
    """Something that is billed by use."""

    price: str
    """The name of its price."""
    kind: str
    """What it is, such as ``index writes``."""
    who: str
    """The construct path of the function, queue or other resource that uses it."""


class Charge(msgspec.Struct, frozen=True):
    """What one kind of use costs for one order, or whatever the bill is for."""

    service: str
    price: str
    kind: str
    who: str
    units: float
    usd: float

    @property
    def context(self) -> str:
        """The first part of the path, which is the stack of an application without stages."""
        return self.who.partition("/")[0]

    @property
    def hop(self) -> str:
        """The first two parts of the path."""
        return "/".join(self.who.split("/")[:2])


class MeteredBill(msgspec.Struct, frozen=True):
    """What an application costs for one order, or whatever else was counted, the dearest first."""

    charges: list[Charge]
    polls: list[Charge]
    """Long polls that end without a message, at the rate of the bill."""
    messages: dict[str, float]
    """The messages of one order in each polled queue, by path."""
    monthly: list[Charge]
    """What a month of use costs, however many orders come: schedules and custom metrics."""
    outside: dict[str, float]
    """Units of what is not part of the architecture, by the name of the price."""
    unpriced: dict[str, float]
    """Units of what has no price, by its name."""

    @property
    def usd(self) -> float:
        """The sum, in US dollars for one order."""
        return sum(charge.usd for charge in (*self.charges, *self.polls))

    def units(self, price: str) -> float:
        """Returns how many units of a price one order uses."""
        return sum(each.units for each in (*self.charges, *self.polls) if each.price == price)

    def by(self, key: Callable[[Charge], str]) -> dict[str, float]:
        """Returns the sums by service, context, hop or kind, the largest first."""
        sums: defaultdict[str, float] = defaultdict(float)
        for charge in (*self.charges, *self.polls):
            sums[key(charge)] += charge.usd
        return dict(sorted(sums.items(), key=lambda each: -each[1]))

    def month(
        self,
        orders_per_day: float,
        idle: IdleBill,
        prices: Mapping[str, Price],
        *,
        free_tier: bool = False,
    ) -> float:
        """Returns what a month costs in US dollars, with the resources that an idle bill has.

        Polls are those at this rate. Give ``idle`` with the free tier, too, if it counts.
        """
        orders, per_s = orders_per_day * HOURS / 24, orders_per_day / 86_400
        units: defaultdict[str, float] = defaultdict(float)
        for charge in self.charges:
            units[charge.price] += charge.units * orders
        for count in self.messages.values():
            units["queue_request"] += empty_polls(count * per_s) * HOURS * 3600
        for charge in self.monthly:
            units[charge.price] += charge.units
        used = sum(
            max(0.0, number - (prices[name].free if free_tier else 0)) * prices[name].usd
            for name, number in units.items()
        )
        polled = sum(line.usd for line in idle.lines if line.type == _MAPPING)
        return used + idle.usd - polled

    def as_json(self) -> dict[str, Any]:
        """Returns the bill as JSON data."""
        return {"usd": self.usd, **msgspec.to_builtins(self)}


def metered_bill(
    uses: Mapping[Use, float],
    prices: Mapping[str, Price],
    *,
    orders: int,
    rate: float,
    messages: Mapping[str, int] | None = None,
    per_month: Mapping[Use, float] | None = None,
    keys: int = 0,
) -> MeteredBill:
    """Returns the bill for each of the ``orders`` that used all this.

    ``rate`` is how many come in a second, ``messages`` are those received from each polled queue,
    ``per_month`` is what a month uses however many orders come, and ``keys`` counts the resources
    that encrypt with keys of KMS. All of this, `Metering` has.
    Raises RehearsalError without orders or rate.
    """
    if orders < 1 or rate <= 0:
        raise RehearsalError(f"{orders} orders at {rate} per second: a bill needs more than none")
    found = [(use, units / orders) for use, units in uses.items()]
    found.append((Use("key_request", "data keys", "KMS"), 2 * keys / DATA_KEY_S / rate))
    outside: defaultdict[str, float] = defaultdict(float)
    unpriced: defaultdict[str, float] = defaultdict(float)
    charges = []
    for use, units in found:
        if use.price.startswith(OUTSIDE):
            outside[use.price] += units
        elif use.price not in prices:
            unpriced[use.price] += units
        elif units:
            charges.append(_charge(use, units, prices))
    polled = {path: count / orders for path, count in (messages or {}).items()}
    return MeteredBill(
        sorted(charges, key=lambda charge: -charge.usd),
        [
            _charge(
                Use("queue_request", "empty polls", path), empty_polls(count * rate) / rate, prices
            )
            for path, count in polled.items()
        ],
        polled,
        [_charge(use, units, prices) for use, units in (per_month or {}).items() if units],
        dict(outside),
        dict(unpriced),
    )


def _charge(use: Use, units: float, prices: Mapping[str, Price]) -> Charge:
    price = prices[use.price]
    return Charge(price.service, *use, units, units * price.usd)


def idle_bill(
    assembly: Assembly, prices: Mapping[str, Price], *, free_tier: bool = False
) -> IdleBill:
    """Returns what the resources cost in a month without use."""
    units: dict[str, defaultdict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    unpriced = set[str]()
    for resource, price, number in _standing(assembly):
        if price in prices:
            units[price][resource.type].append(number)
        else:
            unpriced.add(price)
    lines = []
    for name, by_type in units.items():
        free = float(prices[name].free if free_tier else 0)
        for type_, numbers in by_type.items():
            charged, free = max(0.0, sum(numbers) - free), max(0.0, free - sum(numbers))
            cost = charged * prices[name].usd
            lines.append(Line(type_, len(numbers), prices[name].says, charged, cost))
    return IdleBill(sorted(lines, key=lambda line: -line.usd), sorted(unpriced))


def standing_charges(assembly: Assembly, prices: Mapping[str, Price]) -> list[Charge]:
    """Returns what each resource costs in a month without use.

    Polls of queues are left out, because they depend on use: a metered bill has them.
    """
    return [
        _charge(Use(price, resource.type, resource.path), number, prices)
        for resource, price, number in _standing(assembly)
        if price in prices and resource.type != _MAPPING
    ]


def _standing(assembly: Assembly) -> Iterator[tuple[Resource, str, float]]:
    """Yields resources that cost something without use, names of prices and units of a month."""
    for resource in assembly.resources:
        setting = _SETTINGS.get(resource.type)
        if count := _BY_TYPE.get(resource.type):
            for price, number in count(assembly, resource):
                yield resource, price, number
        elif setting and resource.properties.get(setting):
            yield resource, f"{resource.type} with {setting}", 1
        elif not setting and resource.type not in _NOTHING:
            yield resource, resource.type, 1


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


_MAPPING = "AWS::Lambda::EventSourceMapping"
_BY_TYPE: Mapping[str, Callable[[Assembly, Resource], Units]] = {
    "AWS::CloudWatch::Alarm": _alarm,
    "AWS::CloudWatch::CompositeAlarm": _one("composite_alarm"),
    "AWS::CloudWatch::Dashboard": _one("dashboard"),
    "AWS::KMS::Key": _one("key"),
    "AWS::Kinesis::Stream": _stream,
    _MAPPING: _mapping,
    "AWS::SecretsManager::Secret": _one("secret"),
}
