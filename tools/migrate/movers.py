"""The consumers and producers of a stage with both buses, and the calls that move them.

Each call changes what a deployment changes whose `migration` in `stacks/environment.py` names
another consumer or producer.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from cdk_rehearsal import EventPattern, Rehearsal, Resource
from stacks.constructs.releases import CANARY_PERCENT

Side = Literal["classic", "custom"]

BUSES: dict[Side, str] = {"classic": "Backbone/Bus", "custom": "Backbone/CustomBus"}
"""The paths of the buses."""

BRIDGES: dict[Side, str] = {
    "classic": "Backbone/Bus/ToClassic/Subscriber",
    "custom": "Backbone/Bus/ToCustom/Rule",
}
"""The paths of the bridges, by the side to which they lead."""

_RULE, _SUBSCRIBER = "AWS::Events::Rule", "AWS::EventsV2::Subscriber"
_ALIAS = "AWS::Lambda::Alias"
_SETTING = "EVENT_BUS_ARN"


def other(side: Side) -> Side:
    """Returns the other side."""
    return "custom" if side == "classic" else "classic"


@dataclass(frozen=True)
class BusRoute:
    """A rule or subscriber between a bus and a consumer, or between both buses."""

    path: str
    side: Side
    """The side of its bus."""
    pattern: EventPattern


@dataclass(frozen=True)
class MovingConsumer:
    """A consumer with its rule and its subscriber."""

    name: str
    rule: Resource
    subscriber: Resource

    def route(self, side: Side) -> BusRoute:
        """Returns the route from the bus of a side."""
        return _route(self.rule if side == "classic" else self.subscriber)

    def switch(self, shop: Rehearsal, side: Side, *, on: bool) -> None:
        """Lets the bus of a side deliver, or no longer.

        A subscriber resumes after the last event that it has processed:
        https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-update.html
        """
        if side == "custom":
            shop.client("eventbridgev2").update_subscriber(
                SubscriberArn=self.subscriber.physical_id, State="RUNNING" if on else "STOPPED"
            )
            return
        bus, _, name = self.rule.physical_id.partition("|")
        rules = shop.client("events")
        call = rules.enable_rule if on else rules.disable_rule
        call(Name=name, EventBusName=bus)


@dataclass(frozen=True)
class MovingProducer:
    """A context that publishes, by its relay."""

    name: str
    relay: Resource
    alias: Resource | None = None
    """What invokes the relay, if deployments of the stage shift its traffic."""

    def move(self, shop: Rehearsal, side: Side) -> None:
        """Lets the relay publish on the bus of a side."""
        self.begin(shop, side)
        self.complete(shop)

    def begin(self, shop: Rehearsal, side: Side) -> None:
        """Lets the relay publish on the bus of a side: a share of its batches, if it has an alias.

        A version keeps the variables that it was published with, so a new one takes the share:
        https://docs.aws.amazon.com/lambda/latest/dg/configuration-versions.html
        https://docs.aws.amazon.com/lambda/latest/dg/configuring-alias-routing.html
        """
        functions = shop.client("lambda")
        name = self.relay.physical_id
        stated = functions.get_function_configuration(FunctionName=name)["Environment"]
        arn = shop.resource(BUSES[side]).attributes["Arn" if side == "classic" else "EventBusArn"]
        functions.update_function_configuration(
            FunctionName=name, Environment={"Variables": {**stated["Variables"], _SETTING: arn}}
        )
        if self.alias:
            functions.get_waiter("function_updated_v2").wait(FunctionName=name)
            version = functions.publish_version(FunctionName=name)["Version"]
            weights = {version: CANARY_PERCENT / 100}
            functions.update_alias(
                **self._named(self.alias), RoutingConfig={"AdditionalVersionWeights": weights}
            )

    def complete(self, shop: Rehearsal) -> None:
        """Gives the version that has begun to publish on another bus all batches of the alias."""
        if self.alias:
            functions, named = shop.client("lambda"), self._named(self.alias)
            weights = functions.get_alias(**named)["RoutingConfig"]["AdditionalVersionWeights"]
            (version,) = weights
            functions.update_alias(
                **named, FunctionVersion=version, RoutingConfig={"AdditionalVersionWeights": {}}
            )

    def _named(self, alias: Resource) -> dict[str, str]:
        return {"FunctionName": self.relay.physical_id, "Name": alias.properties["Name"]}


def consumers(shop: Rehearsal) -> list[MovingConsumer]:
    """Returns the consumers: what has both a rule and a subscriber."""
    subscribers = {each.path: each for each in _all(shop, _SUBSCRIBER)}
    names = (each.path.removesuffix("/Rule") for each in _all(shop, _RULE))
    return [
        MovingConsumer(
            name, shop.resource(f"{name}/Rule", _RULE), subscribers[f"{name}/Subscriber"]
        )
        for name in names
        if f"{name}/Subscriber" in subscribers
    ]


def producers(shop: Rehearsal) -> list[MovingProducer]:
    """Returns the producers: contexts with a relay."""
    aliases = {each.properties["FunctionName"]: each for each in _all(shop, _ALIAS)}
    return [
        MovingProducer(each.path.split("/")[0], each, aliases.get(each.physical_id))
        for each in _all(shop, "AWS::Lambda::Function")
        if _SETTING in each.properties.get("Environment", {}).get("Variables", {})
    ]


def bridge(shop: Rehearsal, side: Side) -> BusRoute:
    """Returns the bridge to a side."""
    kind = _SUBSCRIBER if side == "classic" else _RULE
    return _route(shop.resource(BRIDGES[side], kind))


def _all(shop: Rehearsal, kind: str) -> Iterator[Resource]:
    return (each for each in shop.resources if each.type == kind)


def _route(resource: Resource) -> BusRoute:
    if resource.type == _RULE:
        return BusRoute(resource.path, "classic", EventPattern(resource.properties["EventPattern"]))
    (stated,) = resource.properties["FilterConfiguration"]["Filters"]
    return BusRoute(resource.path, "custom", EventPattern(json.loads(stated["Pattern"])))
