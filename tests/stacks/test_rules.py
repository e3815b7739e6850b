"""Rules and topics: published events reach their consumers, the archive and the log."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from cdk_rehearsal import Assembly, Resource
from lambdas.eventing.event import Event
from stacks.schemas.events import RETIRED
from tests.stacks.hops import (
    DAYS,
    HOURS,
    alarms_of,
    feeder_of,
    function_of,
    parking_queues,
    queue_mappings,
    source_of,
    subscriptions,
)
from tests.support.handlers import consumes, publishers


def consumers(shop: Assembly) -> Iterator[tuple[Resource, Resource]]:
    """Consumers of published events, each with the source of its queue."""
    for mapping in queue_mappings(shop):
        feeder = feeder_of(shop, source_of(shop, mapping))
        if feeder.type in {"AWS::Events::Rule", "AWS::SNS::Topic"}:
            yield function_of(shop, mapping), feeder


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
    def test_a_consumers_rule_matches_source_and_type_of_its_events(self, shop: Assembly) -> None:
        for function, feeder in consumers(shop):
            if feeder.type == "AWS::Events::Rule":
                assert feeder.properties["EventPattern"] == pattern_of(consumes(function)), function

    def test_a_subscribed_consumers_filter_matches_source_and_type_of_its_events(
        self, shop: Assembly
    ) -> None:
        unseen = {
            shop.referred(each.stack, each.properties["Endpoint"]).path: each
            for each in subscriptions(shop)
        }
        for mapping in queue_mappings(shop):
            queue = source_of(shop, mapping)
            topic = feeder_of(shop, queue)
            if topic.type != "AWS::SNS::Topic":
                continue
            wanted = pattern_of(consumes(function_of(shop, mapping)))
            subscription = unseen.pop(queue.path).properties
            assert subscription["FilterPolicyScope"] == "MessageBody"
            assert wanted.items() <= subscription["FilterPolicy"].items(), mapping
            # Raw, so that a message has the format of the bus.
            assert subscription["RawMessageDelivery"] is True
            (rule,) = [
                rule
                for rule in shop.of_type("AWS::Events::Rule")
                for target in rule.properties["Targets"]
                if shop.referred(rule.stack, target["Arn"]) == topic
            ]
            assert rule.properties["EventPattern"] == wanted
        assert not unseen

    def test_consumed_events_are_published_or_retired(self, shop: Assembly) -> None:
        for function, _ in consumers(shop):
            assert set(consumes(function)) <= published() | {*RETIRED.values()}, function

    def test_rules_belong_to_the_shops_own_bus_and_are_enabled(self, shop: Assembly) -> None:
        for rule in shop.of_type("AWS::Events::Rule"):
            assert rule.properties.get("State", "ENABLED") == "ENABLED", rule
            bus = shop.referred(rule.stack, rule.properties["EventBusName"])
            assert bus.type == "AWS::Events::EventBus", rule


class TestDelivery:
    def test_each_target_is_retried_within_the_limits_of_the_bus(self, shop: Assembly) -> None:
        for rule in shop.of_type("AWS::Events::Rule"):
            for target in rule.properties["Targets"]:
                retries = target["RetryPolicy"]
                assert 0 < retries["MaximumRetryAttempts"] <= 185, rule
                assert HOURS <= retries["MaximumEventAgeInSeconds"] <= DAYS, rule

    @pytest.mark.parametrize(
        "metric",
        ["FailedInvocations", "InvocationsSentToDlq", "InvocationsFailedToBeSentToDlq"],
    )
    def test_failed_deliveries_of_a_rule_have_alarms(self, shop: Assembly, metric: str) -> None:
        """Rules on a custom bus have metrics by bus and rule.

        https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-monitoring.html
        """
        watched = []
        for alarm in shop.of_type("AWS::CloudWatch::Alarm"):
            if alarm.properties.get("MetricName") != metric:
                continue
            dimensions = {d["Name"]: d["Value"] for d in alarm.properties["Dimensions"]}
            assert dimensions.keys() == {"EventBusName", "RuleName"}
            bus = shop.referred(alarm.stack, dimensions["EventBusName"])
            assert bus.type == "AWS::Events::EventBus"
            index, split = dimensions["RuleName"]["Fn::Select"]
            separator, arn = split["Fn::Split"]
            # arn:aws:events:region:account:rule/bus/rule
            assert (index, separator, arn["Fn::GetAtt"][1]) == (2, "/", "Arn")
            watched.append(shop.referred(alarm.stack, arn).path)
        assert sorted(watched) == sorted(rule.path for rule in shop.of_type("AWS::Events::Rule"))

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
        topics = {feeder.path for _, feeder in consumers(shop) if feeder.type == "AWS::SNS::Topic"}
        assert topics
        assert alarms_of(shop, metric, "TopicName").keys() == topics


class TestRecord:
    def test_the_archive_keeps_every_event_of_the_shop(self, shop: Assembly) -> None:
        (archive,) = shop.of_type("AWS::Events::Archive")
        ((pattern,),) = (archive.properties["EventPattern"]["source"],)
        assert all(event.source.startswith(pattern["prefix"]) for event in published())

    def test_every_event_is_logged_without_its_data(self, shop: Assembly) -> None:
        (rule,) = [
            rule
            for rule in shop.of_type("AWS::Events::Rule")
            if shop.referred(rule.stack, rule.properties["Targets"][0]["Arn"]).type
            == "AWS::Logs::LogGroup"
        ]
        ((pattern,),) = (rule.properties["EventPattern"]["source"],)
        assert all(event.source.startswith(pattern["prefix"]) for event in published())
        paths = rule.properties["Targets"][0]["InputTransformer"]["InputPathsMap"].values()
        assert paths
        assert not [
            path for path in paths if path.startswith("$.detail.data") or path == "$.detail"
        ]

    def test_the_bus_may_write_only_its_log(self, shop: Assembly) -> None:
        """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html."""
        (policy,) = shop.of_type("AWS::Logs::ResourcePolicy")
        text = "".join(
            part if isinstance(part, str) else shop.referred(policy.stack, part).path
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
        (archive,) = shop.of_type("AWS::Events::Archive")
        tries_s = [
            target["RetryPolicy"]["MaximumEventAgeInSeconds"]
            for rule in shop.of_type("AWS::Events::Rule")
            for target in rule.properties["Targets"]
            if "RetryPolicy" in target
        ]
        stays_s = [
            source_of(shop, mapping).properties["MessageRetentionPeriod"]
            + parking.properties["MessageRetentionPeriod"]
            for mapping in queue_mappings(shop)
            for parking in parking_queues(shop)
        ]
        back = archive.properties["RetentionDays"] + (max(tries_s) + 2 * max(stays_s)) / DAYS
        days = [
            int(function.properties["Environment"]["Variables"]["INBOX_DAYS"])
            for function in shop.of_type("AWS::Lambda::Function")
            if "INBOX_DAYS" in function.properties["Environment"]["Variables"]
        ]
        assert days
        assert min(days) >= back
