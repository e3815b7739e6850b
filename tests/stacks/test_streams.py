"""Streams are read from the beginning, in order, with limited retries; only relays publish."""

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
    """The retention of a stream in hours; a table's stream has 24.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html
    """
    hours: int = stream.properties.get("RetentionPeriodHours", 24)
    return hours


class TestMappings:
    def test_each_mapping_reads_from_the_beginning_and_in_order(self, shop: Assembly) -> None:
        for mapping in stream_mappings(shop):
            assert mapping.properties["StartingPosition"] == "TRIM_HORIZON"
            assert mapping.properties.get("ParallelizationFactor", 1) == 1
            assert mapping.properties.get("Enabled", True) is True

    def test_a_batch_is_small_enough_for_one_invocation(self, shop: Assembly) -> None:
        """A relay publishes tens of events; a window consumer commits rows by minute and item."""
        for mapping in stream_mappings(shop):
            table = mapping in relay_mappings(shop)
            assert mapping.properties["BatchSize"] <= (100 if table else 500), mapping

    def test_a_relay_gathers_events_only_where_nobody_waits_for_them(self, shop: Assembly) -> None:
        gathered = {
            function_of(shop, mapping).path.partition("/")[0]: seconds
            for mapping in relay_mappings(shop)
            if (seconds := mapping.properties.get("MaximumBatchingWindowInSeconds"))
        }
        assert gathered == {"Inventory": 5, "Notifications": 5, "Payments": 5}

    def test_a_relay_that_hangs_blocks_its_shard_for_a_minute_at_most(self, shop: Assembly) -> None:
        for mapping in relay_mappings(shop):
            assert function_of(shop, mapping).properties["Timeout"] <= 60, mapping

    def test_each_mapping_retries_for_at_least_an_hour_and_ends_before_records_expire(
        self, shop: Assembly
    ) -> None:
        for mapping in stream_mappings(shop):
            properties = mapping.properties
            assert properties["BisectBatchOnFunctionError"] is True
            # The maximum, so that only the age of records ends the retries, as the runbook says.
            assert properties["MaximumRetryAttempts"] == 10_000
            kept = kept_hours(source_of(shop, mapping)) * HOURS
            assert 1 * HOURS <= properties["MaximumRecordAgeInSeconds"] < kept, mapping

    def test_an_unpublished_event_stays_in_its_table_as_long_as_its_failure_report_waits(
        self, shop: Assembly
    ) -> None:
        for mapping in relay_mappings(shop):
            report = mapping.properties["DestinationConfig"]["OnFailure"]["Destination"]
            waits_s = shop.referred(mapping.stack, report).properties["MessageRetentionPeriod"]
            tries_s = mapping.properties["MaximumRecordAgeInSeconds"]
            assert waits_s + tries_s < OUTBOX_DAYS * 24 * HOURS, mapping

    def test_a_relay_gets_only_new_outbox_items(self, shop: Assembly) -> None:
        for mapping in relay_mappings(shop):
            (wanted,) = mapping.properties["FilterCriteria"]["Filters"]
            assert json.loads(wanted["Pattern"]) == {
                "eventName": ["INSERT"],
                "dynamodb": {"NewImage": {"kind": {"S": ["outbox"]}}},
            }

    def test_a_tables_stream_has_new_images_and_at_most_two_readers(self, shop: Assembly) -> None:
        readers = [source_of(shop, mapping).path for mapping in relay_mappings(shop)]
        for table in set(readers):
            stream = shop.at(table).properties["StreamSpecification"]
            assert stream["StreamViewType"] == "NEW_IMAGE"
            assert readers.count(table) <= 2

    def test_every_stream_has_a_reader(self, shop: Assembly) -> None:
        streams = {
            resource.path
            for resource in shop.of_type("AWS::Kinesis::Stream", "AWS::DynamoDB::GlobalTable")
            if resource.type == "AWS::Kinesis::Stream"
            or "StreamSpecification" in resource.properties
        }
        assert streams == {source_of(shop, mapping).path for mapping in stream_mappings(shop)}


class TestDataStreams:
    def test_rejected_records_of_a_stream_have_alarms(self, shop: Assembly) -> None:
        """https://docs.aws.amazon.com/streams/latest/dev/monitoring-with-cloudwatch.html."""
        streams = {stream.path for stream in shop.of_type("AWS::Kinesis::Stream")}
        for metric in ("WriteProvisionedThroughputExceeded", "PutRecords.FailedRecords"):
            assert alarms_of(shop, metric, "StreamName").keys() == streams


class TestRelays:
    def test_a_relay_may_publish_exactly_the_events_of_its_context(self, shop: Assembly) -> None:
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
            assert shop.referred(stack, statement["Resource"]) == shop.at("Backbone/Bus")
            assert statement["Condition"] == {
                "ForAllValues:StringEquals": {
                    "events:source": sorted({event.source for event in events}),
                    "events:detail-type": sorted(event.detail_type() for event in events),
                },
                "Null": {"events:source": "false", "events:detail-type": "false"},
            }

    def test_only_relays_may_publish(self, shop: Assembly) -> None:
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

    def test_relays_use_the_kernels_handler(self, shop: Assembly) -> None:
        for mapping in relay_mappings(shop):
            assert handler_of(function_of(shop, mapping)) is relay.handler
