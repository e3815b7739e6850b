"""Streams: read from the beginning, in order and within bounds; the relays alone publish."""

import json
from typing import Any

from cdk_rehearsal import Assembly, Resource
from lambdas.eventing import relay
from lambdas.eventing.transaction import OUTBOX_DAYS
from tests.stacks.hops import (
    HOURS,
    alarms_of,
    function_of,
    relay_mappings,
    role_of,
    source_of,
    stream_mappings,
)
from tests.support.handlers import handler_of, publishers


def kept_hours(stream: Resource) -> int:
    """How long a stream keeps its records; that of a table, for a day.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html
    """
    hours: int = stream.properties.get("RetentionPeriodHours", 24)
    return hours


class TestMappings:
    def test_each_misses_nothing_and_keeps_the_order(self, shop: Assembly) -> None:
        for mapping in stream_mappings(shop):
            assert mapping.properties["StartingPosition"] == "TRIM_HORIZON"
            assert mapping.properties.get("ParallelizationFactor", 1) == 1
            assert mapping.properties.get("Enabled", True) is True

    def test_a_batch_fits_into_what_one_invocation_can_do(self, shop: Assembly) -> None:
        """A relay publishes in tens; a window's consumer commits a row for each minute and item."""
        for mapping in stream_mappings(shop):
            table = mapping in relay_mappings(shop)
            assert mapping.properties["BatchSize"] <= (100 if table else 500), mapping

    def test_a_relay_that_hangs_holds_its_shard_up_for_a_minute_at_most(
        self, shop: Assembly
    ) -> None:
        for mapping in relay_mappings(shop):
            assert function_of(shop, mapping).properties["Timeout"] <= 60, mapping

    def test_each_tries_for_an_hour_at_least_and_gives_up_before_its_records_go(
        self, shop: Assembly
    ) -> None:
        for mapping in stream_mappings(shop):
            properties = mapping.properties
            assert properties["BisectBatchOnFunctionError"] is True
            # The most that there are: what ends the retries is time, as the runbook promises.
            assert properties["MaximumRetryAttempts"] == 10_000
            kept = kept_hours(source_of(shop, mapping)) * HOURS
            assert 1 * HOURS <= properties["MaximumRecordAgeInSeconds"] < kept, mapping

    def test_what_a_relay_gave_up_on_is_in_its_table_as_long_as_its_report_waits(
        self, shop: Assembly
    ) -> None:
        for mapping in relay_mappings(shop):
            report = mapping.properties["DestinationConfig"]["OnFailure"]["Destination"]
            waits_s = shop.referred(mapping.stack, report).properties["MessageRetentionPeriod"]
            tries_s = mapping.properties["MaximumRecordAgeInSeconds"]
            assert waits_s + tries_s < OUTBOX_DAYS * 24 * HOURS, mapping

    def test_a_relay_gets_new_outbox_items_and_nothing_else(self, shop: Assembly) -> None:
        for mapping in relay_mappings(shop):
            (wanted,) = mapping.properties["FilterCriteria"]["Filters"]
            assert json.loads(wanted["Pattern"]) == {
                "eventName": ["INSERT"],
                "dynamodb": {"NewImage": {"kind": {"S": ["outbox"]}}},
            }

    def test_a_tables_stream_shows_new_items_and_has_at_most_two_readers(
        self, shop: Assembly
    ) -> None:
        readers = [source_of(shop, mapping).path for mapping in relay_mappings(shop)]
        for table in set(readers):
            stream = shop.at(table).properties["StreamSpecification"]
            assert stream["StreamViewType"] == "NEW_IMAGE"
            assert readers.count(table) <= 2

    def test_no_stream_goes_unread(self, shop: Assembly) -> None:
        streams = {
            resource.path
            for resource in shop.of_type("AWS::Kinesis::Stream", "AWS::DynamoDB::GlobalTable")
            if resource.type == "AWS::Kinesis::Stream"
            or "StreamSpecification" in resource.properties
        }
        assert streams == {source_of(shop, mapping).path for mapping in stream_mappings(shop)}


class TestDataStreams:
    def test_what_a_stream_refuses_is_an_alarm(self, shop: Assembly) -> None:
        """https://docs.aws.amazon.com/streams/latest/dev/monitoring-with-cloudwatch.html."""
        streams = {stream.path for stream in shop.of_type("AWS::Kinesis::Stream")}
        for metric in ("WriteProvisionedThroughputExceeded", "PutRecords.FailedRecords"):
            assert alarms_of(shop, metric, "StreamName").keys() == streams


class TestRelays:
    def test_a_relay_may_publish_the_events_of_its_context_and_no_others(
        self, shop: Assembly
    ) -> None:
        granted: dict[str, dict[str, Any]] = {}
        for policy in shop.of_type("AWS::IAM::Policy"):
            for statement in policy.properties["PolicyDocument"]["Statement"]:
                if "events:PutEvents" in statement["Action"]:
                    assert policy.stack not in granted
                    granted[policy.stack] = statement
        assert granted.keys() == publishers().keys()
        for stack, events in publishers().items():
            statement = granted[stack]
            assert statement["Action"] == "events:PutEvents"
            assert shop.referred(stack, statement["Resource"]).type == "AWS::Events::EventBus"
            assert statement["Condition"] == {
                "ForAllValues:StringEquals": {
                    "events:source": sorted({event.source for event in events}),
                    "events:detail-type": sorted(event.detail_type() for event in events),
                },
                "Null": {"events:source": "false", "events:detail-type": "false"},
            }

    def test_nothing_but_a_relay_may_publish(self, shop: Assembly) -> None:
        relays = {function_of(shop, mapping).path for mapping in relay_mappings(shop)}
        for policy in shop.of_type("AWS::IAM::Policy"):
            if "events:PutEvents" not in json.dumps(policy.properties):
                continue
            (role,) = policy.properties["Roles"]
            holders = {
                function.path
                for function in shop.of_type("AWS::Lambda::Function")
                if role_of(shop, function) == shop.referred(policy.stack, role)
            }
            assert holders
            assert holders <= relays

    def test_a_relays_handler_is_the_kernels(self, shop: Assembly) -> None:
        for mapping in relay_mappings(shop):
            assert handler_of(function_of(shop, mapping)) is relay.handler
