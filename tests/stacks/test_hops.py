"""Asynchronous hops: each retries within bounds, parks what it cannot deliver, and says so."""

import json
from typing import Any

import pytest

from lambdas.eventing.event import Event
from lambdas.inventory import events as inventory
from lambdas.orders import events as orders
from lambdas.payments import events as payments
from tests.support.assemblies import Assembly, Resource, nodes
from tests.support.handlers import consumes, handler_of

HOURS = 3600
DAYS = 24 * HOURS
PUBLISHED: dict[str, tuple[type[Event], ...]] = {
    "Inventory": inventory.PUBLISHED,
    "Orders": orders.PUBLISHED,
    "Payments": payments.PUBLISHED,
}


def parking_queues(shop: Assembly) -> list[Resource]:
    """All queues that something parks messages in."""
    found: dict[str, Resource] = {}
    for resource in shop.of_type(
        "AWS::Events::Rule", "AWS::Lambda::EventSourceMapping", "AWS::SQS::Queue"
    ):
        for node in nodes(resource.properties):
            match node:
                case (
                    {"DeadLetterConfig": {"Arn": arn}}
                    | {"OnFailure": {"Destination": arn}}
                    | {"deadLetterTargetArn": arn}
                ):
                    queue = shop.referred(resource.stack, arn)
                    found[queue.path] = queue
    return list(found.values())


def source_of(shop: Assembly, mapping: Resource) -> Resource:
    return shop.referred(mapping.stack, mapping.properties["EventSourceArn"])


def function_of(shop: Assembly, mapping: Resource) -> Resource:
    return shop.referred(mapping.stack, mapping.properties["FunctionName"])


def mappings(shop: Assembly, source_type: str) -> list[Resource]:
    found = [
        mapping
        for mapping in shop.of_type("AWS::Lambda::EventSourceMapping")
        if source_of(shop, mapping).type == source_type
    ]
    assert found
    return found


def queue_mappings(shop: Assembly) -> list[Resource]:
    return mappings(shop, "AWS::SQS::Queue")


def stream_mappings(shop: Assembly) -> list[Resource]:
    return mappings(shop, "AWS::DynamoDB::GlobalTable")


def statements(shop: Assembly, queue: Resource) -> list[dict[str, Any]]:
    return [
        statement
        for policy in shop.of_type("AWS::SQS::QueuePolicy")
        if queue in (shop.referred(policy.stack, name) for name in policy.properties["Queues"])
        for statement in policy.properties["PolicyDocument"]["Statement"]
    ]


class TestQueues:
    def test_each_queue_is_encrypted(self, shop: Assembly) -> None:
        for queue in shop.of_type("AWS::SQS::Queue"):
            assert queue.properties["SqsManagedSseEnabled"] is True, queue

    def test_each_queue_refuses_what_comes_without_tls(self, shop: Assembly) -> None:
        for queue in shop.of_type("AWS::SQS::Queue"):
            denied = [
                statement
                for statement in statements(shop, queue)
                if statement["Effect"] == "Deny"
                and statement["Action"] == "sqs:*"
                and statement["Principal"] == {"AWS": "*"}
                and statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
            ]
            assert denied, queue

    def test_only_the_rule_in_question_may_send_to_a_queue(self, shop: Assembly) -> None:
        for queue in shop.of_type("AWS::SQS::Queue"):
            for statement in statements(shop, queue):
                if statement["Effect"] == "Deny":
                    continue
                assert statement["Principal"] == {"Service": "events.amazonaws.com"}, queue
                arn = statement["Condition"]["ArnEquals"]["aws:SourceArn"]
                rule = shop.referred(queue.stack, arn)
                targets = rule.properties["Targets"]
                reached = [
                    shop.referred(rule.stack, node["Arn"])
                    for node in nodes(targets)
                    if isinstance(node, dict) and "Arn" in node
                ]
                assert queue in reached, queue

    def test_a_queue_admits_the_rule_that_sends_to_it(self, shop: Assembly) -> None:
        for mapping in queue_mappings(shop):
            queue = source_of(shop, mapping)
            (rule,) = rules_into(shop, queue)
            admitted = [
                shop.referred(queue.stack, statement["Condition"]["ArnEquals"]["aws:SourceArn"])
                for statement in statements(shop, queue)
                if statement["Effect"] == "Allow" and "sqs:SendMessage" in statement["Action"]
            ]
            assert admitted == [rule], queue

    def test_a_queue_that_feeds_a_function_parks_after_at_least_five_tries(
        self, shop: Assembly
    ) -> None:
        for mapping in queue_mappings(shop):
            policy = source_of(shop, mapping).properties["RedrivePolicy"]
            assert 5 <= policy["maxReceiveCount"] <= 20, mapping

    def test_a_message_is_hidden_for_six_times_as_long_as_its_function_may_take(
        self, shop: Assembly
    ) -> None:
        """https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html."""
        for mapping in queue_mappings(shop):
            timeout = function_of(shop, mapping).properties["Timeout"]
            window = mapping.properties.get("MaximumBatchingWindowInSeconds", 0)
            visibility = source_of(shop, mapping).properties["VisibilityTimeout"]
            assert visibility >= 6 * timeout + window, mapping

    def test_parked_messages_wait_for_14_days_and_longer_than_in_the_source(
        self, shop: Assembly
    ) -> None:
        for queue in parking_queues(shop):
            assert queue.properties["MessageRetentionPeriod"] == 14 * DAYS, queue
        for mapping in queue_mappings(shop):
            assert source_of(shop, mapping).properties["MessageRetentionPeriod"] < 14 * DAYS

    def test_a_dead_letter_queue_takes_from_its_own_source_alone(self, shop: Assembly) -> None:
        for mapping in queue_mappings(shop):
            source = source_of(shop, mapping)
            arn = source.properties["RedrivePolicy"]["deadLetterTargetArn"]
            allowed = shop.referred(source.stack, arn).properties["RedriveAllowPolicy"]
            assert allowed["redrivePermission"] == "byQueue"
            (source_arn,) = allowed["sourceQueueArns"]
            assert source_arn["Fn::Join"][1][-1] == f":{source.properties['QueueName']}"

    def test_receiving_waits_instead_of_asking_all_the_time(self, shop: Assembly) -> None:
        for mapping in queue_mappings(shop):
            assert source_of(shop, mapping).properties["ReceiveMessageWaitTimeSeconds"] == 20

    def test_any_parked_message_is_an_alarm(self, shop: Assembly) -> None:
        watched = alarms_of(shop, "ApproximateNumberOfMessagesVisible", "QueueName")
        for queue in parking_queues(shop):
            alarm = watched[queue.path]
            assert alarm.properties["Threshold"] == 1
            assert alarm.properties["ComparisonOperator"].startswith("GreaterThanOrEqual")

    def test_a_queue_in_which_messages_grow_old_is_an_alarm(self, shop: Assembly) -> None:
        watched = alarms_of(shop, "ApproximateAgeOfOldestMessage", "QueueName")
        assert watched.keys() == {source_of(shop, m).path for m in queue_mappings(shop)}


class TestMappings:
    def test_each_mapping_takes_partial_failures(self, shop: Assembly) -> None:
        for mapping in shop.of_type("AWS::Lambda::EventSourceMapping"):
            responses = mapping.properties["FunctionResponseTypes"]
            assert responses == ["ReportBatchItemFailures"], mapping

    def test_the_concurrency_of_each_consumer_is_bounded(self, shop: Assembly) -> None:
        """At least 2: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html."""
        for mapping in queue_mappings(shop):
            assert mapping.properties["ScalingConfig"]["MaximumConcurrency"] >= 2, mapping

    def test_a_relay_gets_new_outbox_items_and_nothing_else(self, shop: Assembly) -> None:
        for mapping in stream_mappings(shop):
            (wanted,) = mapping.properties["FilterCriteria"]["Filters"]
            assert json.loads(wanted["Pattern"]) == {
                "eventName": ["INSERT"],
                "dynamodb": {"NewImage": {"kind": {"S": ["outbox"]}}},
            }

    def test_a_relay_misses_nothing_and_keeps_the_order(self, shop: Assembly) -> None:
        for mapping in stream_mappings(shop):
            assert mapping.properties["StartingPosition"] == "TRIM_HORIZON"
            assert mapping.properties.get("ParallelizationFactor", 1) == 1

    def test_a_relay_retries_within_bounds_and_reports_what_it_gave_up_on(
        self, shop: Assembly
    ) -> None:
        """A stream keeps its records for 24 hours.

        https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html
        """
        for mapping in stream_mappings(shop):
            properties = mapping.properties
            assert properties["BisectBatchOnFunctionError"] is True
            assert 0 < properties["MaximumRetryAttempts"] <= 10_000
            assert 1 * HOURS <= properties["MaximumRecordAgeInSeconds"] < 24 * HOURS
            destination = properties["DestinationConfig"]["OnFailure"]["Destination"]
            assert shop.referred(mapping.stack, destination).type == "AWS::SQS::Queue"

    def test_a_relay_that_lags_is_an_alarm(self, shop: Assembly) -> None:
        watched = alarms_of(shop, "IteratorAge", "FunctionName")
        assert watched.keys() == {function_of(shop, m).path for m in stream_mappings(shop)}

    def test_a_stream_shows_new_items_and_has_at_most_two_readers(self, shop: Assembly) -> None:
        readers = [source_of(shop, mapping).path for mapping in stream_mappings(shop)]
        for table in set(readers):
            stream = shop.at(table).properties["StreamSpecification"]
            assert stream["StreamViewType"] == "NEW_IMAGE"
            assert readers.count(table) <= 2


class TestRules:
    def test_each_target_has_bounded_retries_and_a_dead_letter_queue(self, shop: Assembly) -> None:
        for rule in shop.of_type("AWS::Events::Rule"):
            for target in rule.properties["Targets"]:
                retries = target["RetryPolicy"]
                assert 0 < retries["MaximumRetryAttempts"] <= 185, rule
                assert 60 <= retries["MaximumEventAgeInSeconds"] <= DAYS, rule
                parking = shop.referred(rule.stack, target["DeadLetterConfig"]["Arn"])
                sends = [s for s in statements(shop, parking) if s["Effect"] == "Allow"]
                assert rule in [
                    shop.referred(rule.stack, s["Condition"]["ArnEquals"]["aws:SourceArn"])
                    for s in sends
                ]

    def test_a_consumers_rule_matches_source_and_type_of_what_it_consumes(
        self, shop: Assembly
    ) -> None:
        for mapping in queue_mappings(shop):
            (rule,) = rules_into(shop, source_of(shop, mapping))
            events = consumes(function_of(shop, mapping))
            assert rule.properties["EventPattern"] == {
                "source": sorted({event.source for event in events}),
                "detail-type": sorted(event.detail_type() for event in events),
            }

    def test_what_is_consumed_is_published_by_somebody(self, shop: Assembly) -> None:
        published = {event for events in PUBLISHED.values() for event in events}
        for mapping in queue_mappings(shop):
            assert set(consumes(function_of(shop, mapping))) <= published, mapping

    def test_no_context_reacts_to_its_own_events(self, shop: Assembly) -> None:
        """A rule that matched what its own consumer publishes could go round for ever."""
        for mapping in queue_mappings(shop):
            own = set(PUBLISHED.get(mapping.stack, ()))
            assert not own & set(consumes(function_of(shop, mapping))), mapping

    def test_rules_are_on_the_shops_own_bus(self, shop: Assembly) -> None:
        for rule in shop.of_type("AWS::Events::Rule"):
            bus = shop.referred(rule.stack, rule.properties["EventBusName"])
            assert bus.type == "AWS::Events::EventBus", rule

    @pytest.mark.parametrize(
        "metric",
        ["FailedInvocations", "InvocationsSentToDlq", "InvocationsFailedToBeSentToDlq"],
    )
    def test_a_rule_that_cannot_deliver_is_an_alarm(self, shop: Assembly, metric: str) -> None:
        """Rules on a bus of one's own have metrics by bus and rule.

        https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-monitoring.html
        """
        watched = set()
        for alarm in shop.of_type("AWS::CloudWatch::Alarm"):
            if alarm.properties["MetricName"] != metric:
                continue
            dimensions = {d["Name"]: d["Value"] for d in alarm.properties["Dimensions"]}
            assert dimensions.keys() == {"EventBusName", "RuleName"}
            bus = shop.referred(alarm.stack, dimensions["EventBusName"])
            assert bus.type == "AWS::Events::EventBus"
            index, split = dimensions["RuleName"]["Fn::Select"]
            separator, arn = split["Fn::Split"]
            # arn:aws:events:region:account:rule/bus/rule
            assert (index, separator, arn["Fn::GetAtt"][1]) == (2, "/", "Arn")
            watched.add(shop.referred(alarm.stack, arn).path)
        expected = {
            rule.path
            for mapping in queue_mappings(shop)
            for rule in rules_into(shop, source_of(shop, mapping))
        }
        assert watched == expected

    def test_the_archive_keeps_every_event_of_the_shop(self, shop: Assembly) -> None:
        (archive,) = shop.of_type("AWS::Events::Archive")
        ((pattern,),) = (archive.properties["EventPattern"]["source"],)
        events = [event for published in PUBLISHED.values() for event in published]
        assert all(event.source.startswith(pattern["prefix"]) for event in events)

    def test_every_event_is_logged_without_its_data(self, shop: Assembly) -> None:
        (rule,) = [
            rule
            for rule in shop.of_type("AWS::Events::Rule")
            if shop.referred(rule.stack, rule.properties["Targets"][0]["Arn"]).type
            == "AWS::Logs::LogGroup"
        ]
        ((pattern,),) = (rule.properties["EventPattern"]["source"],)
        assert all(
            event.source.startswith(pattern["prefix"])
            for published in PUBLISHED.values()
            for event in published
        )
        paths = rule.properties["Targets"][0]["InputTransformer"]["InputPathsMap"].values()
        assert paths
        assert not [
            path for path in paths if path.startswith("$.detail.data") or path == "$.detail"
        ]

    def test_consumers_remember_events_longer_than_they_can_come_back(self, shop: Assembly) -> None:
        """Out of the archive, and then through a dead-letter queue."""
        (archive,) = shop.of_type("AWS::Events::Archive")
        back = archive.properties["RetentionDays"] + 14
        days = [
            int(function.properties["Environment"]["Variables"]["INBOX_DAYS"])
            for function in shop.of_type("AWS::Lambda::Function")
            if "INBOX_DAYS" in function.properties["Environment"]["Variables"]
        ]
        assert days
        assert min(days) > back


class TestRelays:
    def test_a_relay_may_publish_the_events_of_its_context_and_no_others(
        self, shop: Assembly
    ) -> None:
        publishers: dict[str, dict[str, Any]] = {}
        for policy in shop.of_type("AWS::IAM::Policy"):
            for statement in policy.properties["PolicyDocument"]["Statement"]:
                if "events:PutEvents" in statement["Action"]:
                    assert policy.stack not in publishers
                    publishers[policy.stack] = statement
        assert publishers.keys() == PUBLISHED.keys()
        for stack, statement in publishers.items():
            assert statement["Action"] == "events:PutEvents"
            assert shop.referred(stack, statement["Resource"]).type == "AWS::Events::EventBus"
            assert statement["Condition"] == {
                "ForAllValues:StringEquals": {
                    "events:source": sorted({event.source for event in PUBLISHED[stack]}),
                    "events:detail-type": sorted(e.detail_type() for e in PUBLISHED[stack]),
                },
                "Null": {"events:source": "false", "events:detail-type": "false"},
            }

    def test_nothing_but_a_relay_may_publish(self, shop: Assembly) -> None:
        relays = {function_of(shop, mapping).path for mapping in stream_mappings(shop)}
        for policy in shop.of_type("AWS::IAM::Policy"):
            if "events:PutEvents" not in json.dumps(policy.properties):
                continue
            (role,) = policy.properties["Roles"]
            holders = {
                function.path
                for function in shop.of_type("AWS::Lambda::Function")
                if shop.referred(function.stack, function.properties["Role"])
                == shop.referred(policy.stack, role)
            }
            assert holders
            assert holders <= relays

    def test_a_relays_handler_is_the_kernels(self, shop: Assembly) -> None:
        from lambdas.eventing import relay

        for mapping in stream_mappings(shop):
            assert handler_of(function_of(shop, mapping)) is relay.handler


def rules_into(shop: Assembly, queue: Resource) -> list[Resource]:
    return [
        rule
        for rule in shop.of_type("AWS::Events::Rule")
        if queue
        in [shop.referred(rule.stack, target["Arn"]) for target in rule.properties["Targets"]]
    ]


def alarms_of(shop: Assembly, metric: str, dimension: str) -> dict[str, Resource]:
    """The alarms on a metric, by the path of the resource that they watch."""
    return {
        shop.referred(alarm.stack, entry["Value"]).path: alarm
        for alarm in shop.of_type("AWS::CloudWatch::Alarm")
        if alarm.properties["MetricName"] == metric
        for entry in alarm.properties["Dimensions"]
        if entry["Name"] == dimension
    }
