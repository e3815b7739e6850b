"""Routes and topics: published events reach their consumers and the log, and are retained."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from cdk_rehearsal import Assembly, Resource, texts
from cdk_rehearsal.topology import Edge
from lambdas.eventing.event import Event
from stacks.constructs.bus import LOGGED
from stacks.schemas.events import RETIRED
from tests.stacks.hops import (
    DAYS,
    HOURS,
    alarms_of,
    edge_to,
    function_of,
    is_custom,
    parking_queues,
    queue_mappings,
    retention_days,
    route_at,
    routes,
    source_of,
    subscriptions,
)
from tests.support.handlers import consumes, publishers


def consumers(shop: Assembly) -> Iterator[tuple[Resource, Edge]]:
    """Consumers of published events, each with the edge to its queue."""
    for mapping in queue_mappings(shop):
        edge = edge_to(shop, source_of(shop, mapping))
        if edge.kind in {"rule", "subscriber", "topic"}:
            yield function_of(shop, mapping), edge


def pattern_of(events: tuple[type[Event], ...]) -> dict[str, Any]:
    pattern: dict[str, Any] = {
        "source": sorted({event.source for event in events}),
        "detail-type": sorted(event.detail_type() for event in events),
    }
    newer = sorted(event.detail_type() for event in events if event.supersedes in events)
    if newer:
        pattern["detail"] = {"supersededby": [{"exists": False}, {"anything-but": newer}]}
    return pattern


def published() -> set[type[Event]]:
    return {event for events in publishers().values() for event in events}


class TestRouting:
    def test_a_consumers_route_matches_source_and_type_of_its_events(self, shop: Assembly) -> None:
        patterns = {route.resource.path: route.pattern for route in routes(shop)}
        direct = [(function, edge) for function, edge in consumers(shop) if edge.kind != "topic"]
        assert direct
        for function, edge in direct:
            assert patterns[edge.source] == pattern_of(consumes(function)), function

    def test_a_subscribed_consumers_filter_matches_source_and_type_of_its_events(
        self, shop: Assembly
    ) -> None:
        unseen = {
            shop.referred(each.stack, each.properties["Endpoint"]).path: each
            for each in subscriptions(shop)
        }
        for mapping in queue_mappings(shop):
            queue = source_of(shop, mapping)
            edge = edge_to(shop, queue)
            if edge.kind != "topic":
                continue
            wanted = pattern_of(consumes(function_of(shop, mapping)))
            subscription = unseen.pop(queue.path).properties
            assert subscription["FilterPolicyScope"] == "MessageBody"
            assert wanted.items() <= subscription["FilterPolicy"].items(), mapping
            # Raw, so that a message has the format of the bus.
            assert subscription["RawMessageDelivery"] is True
            (route,) = [
                route
                for route in routes(shop)
                if shop.find(route.resource.stack, route.target) == shop.at(edge.source)
            ]
            assert route.pattern == wanted
        assert not unseen

    def test_consumed_events_are_published_or_retired(self, shop: Assembly) -> None:
        for function, _ in consumers(shop):
            assert set(consumes(function)) <= published() | {*RETIRED.values()}, function

    def test_routes_belong_to_the_shops_own_bus_and_are_active(self, shop: Assembly) -> None:
        for route in routes(shop):
            state = route.resource.properties.get("State", "ENABLED")
            assert state in {"ENABLED", "RUNNING"}, route.resource
            assert route.bus == shop.at("Backbone/Bus"), route.resource


class TestDelivery:
    def test_each_target_is_retried_within_the_limits_of_the_bus(self, shop: Assembly) -> None:
        for route in routes(shop):
            assert 0 < route.attempts <= 185, route.resource
            assert HOURS <= route.age_s <= DAYS, route.resource

    @pytest.mark.parametrize(
        "metric",
        ["FailedInvocations", "InvocationsSentToDlq", "InvocationsFailedToBeSentToDlq"],
    )
    def test_failed_deliveries_of_a_rule_have_alarms(self, classic: Assembly, metric: str) -> None:
        """Rules on a custom bus have metrics by bus and rule.

        https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-monitoring.html
        """
        watched = []
        for alarm in classic.of_type("AWS::CloudWatch::Alarm"):
            if alarm.properties.get("MetricName") != metric:
                continue
            dimensions = {d["Name"]: d["Value"] for d in alarm.properties["Dimensions"]}
            assert dimensions.keys() == {"EventBusName", "RuleName"}
            bus = classic.referred(alarm.stack, dimensions["EventBusName"])
            assert bus.type == "AWS::Events::EventBus"
            index, split = dimensions["RuleName"]["Fn::Select"]
            separator, arn = split["Fn::Split"]
            # arn:aws:events:region:account:rule/bus/rule
            assert (index, separator, arn["Fn::GetAtt"][1]) == (2, "/", "Arn")
            watched.append(classic.referred(alarm.stack, arn).path)
        assert sorted(watched) == sorted(rule.path for rule in classic.of_type("AWS::Events::Rule"))

    @pytest.mark.parametrize(
        "metric", ["OnFailureDestinationDelivered", "OnFailureDestinationFailed", "EventsDropped"]
    )
    def test_failed_deliveries_of_a_subscriber_have_alarms(
        self, custom: Assembly, metric: str
    ) -> None:
        """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-observability.html."""
        subscribers = {each.path for each in custom.of_type("AWS::EventsV2::Subscriber")}
        assert alarms_of(custom, metric, "Subscriber").keys() == subscribers
        assert alarms_of(custom, metric, "EventBus").keys() == {"Backbone/Bus"}

    @pytest.mark.parametrize(
        "metric",
        [
            "NumberOfNotificationsFailed",
            "NumberOfNotificationsRedrivenToDlq",
            "NumberOfNotificationsFailedToRedriveToDlq",
        ],
    )
    def test_failed_deliveries_of_a_topic_have_alarms(self, shop: Assembly, metric: str) -> None:
        """https://docs.aws.amazon.com/sns/latest/dg/sns-monitoring-using-cloudwatch.html."""
        topics = {edge.source for _, edge in consumers(shop) if edge.kind == "topic"}
        assert topics
        assert alarms_of(shop, metric, "TopicName").keys() == topics


class TestRecord:
    def test_the_archive_keeps_every_event_of_the_shop(self, classic: Assembly) -> None:
        """A Custom Event Bus keeps every event by itself."""
        (archive,) = classic.of_type("AWS::Events::Archive")
        ((pattern,),) = (archive.properties["EventPattern"]["source"],)
        assert all(event.source.startswith(pattern["prefix"]) for event in published())

    def test_every_event_is_logged_without_its_data(self, shop: Assembly) -> None:
        route = route_at(shop, "Backbone/EventLog")
        ((pattern,),) = (route.pattern["source"],)
        assert all(event.source.startswith(pattern["prefix"]) for event in published())
        if is_custom(shop):
            expression = route.properties["UniversalTargetParameters"]["Input"]
            logged = re.findall(r"\$e\.(\w+)", texts(expression))
            assert not re.search(r"\$e\W*[,})]|\$events\.Data\W*[,})]", texts(expression))
        else:
            paths = route.properties["InputTransformer"]["InputPathsMap"]
            assert paths.pop("received") == "$.time"
            logged = [path.removeprefix("$.detail.") for path in paths.values()]
        assert sorted(logged) == sorted(LOGGED)
        assert "data" not in logged

    def test_a_classic_bus_may_write_only_its_log(self, classic: Assembly) -> None:
        """A subscriber has a role: test_custom_bus.py.

        https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html
        """
        (policy,) = classic.of_type("AWS::Logs::ResourcePolicy")
        text = "".join(
            part if isinstance(part, str) else classic.referred(policy.stack, part).path
            for part in policy.properties["PolicyDocument"]["Fn::Join"][1]
        )
        statements = {each["Action"]: each for each in json.loads(text)["Statement"]}
        assert statements.keys() == {"logs:CreateLogStream", "logs:PutLogEvents"}
        for statement in statements.values():
            assert statement["Resource"] == "Backbone/EventLog/Group", statement
            assert "events.amazonaws.com" in statement["Principal"]["Service"], statement
        source = statements["logs:PutLogEvents"]["Condition"]["ArnEquals"]["aws:SourceArn"]
        assert source == "Backbone/EventLog/Rule"

    def test_inbox_entries_outlive_every_possible_redelivery(self, shop: Assembly) -> None:
        """An event can be replayed, wait in both queues, and wait there again after a redrive.

        For SQS, a redriven message is a new message:
        https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-configure-dead-letter-queue-redrive.html
        """
        tries_s = [route.age_s for route in routes(shop)]
        stays_s = [
            source_of(shop, mapping).properties["MessageRetentionPeriod"]
            + parking.properties["MessageRetentionPeriod"]
            for mapping in queue_mappings(shop)
            for parking in parking_queues(shop)
        ]
        back = retention_days(shop) + (max(tries_s) + 2 * max(stays_s)) / DAYS
        days = [
            int(function.properties["Environment"]["Variables"]["INBOX_DAYS"])
            for function in shop.of_type("AWS::Lambda::Function")
            if "INBOX_DAYS" in function.properties["Environment"]["Variables"]
        ]
        assert days
        assert min(days) >= back
