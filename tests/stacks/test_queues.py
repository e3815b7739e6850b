"""Queues: only their sources may send to them, and no message is lost."""

import json

from cdk_rehearsal import Assembly, Resource, listed
from cdk_rehearsal.topology import SERVICE_PRINCIPALS, queue_statements, source_named
from tests.stacks.hops import (
    DAYS,
    alarms_of,
    edge_to,
    function_of,
    parking_queues,
    queue_mappings,
    senders,
    source_of,
)
from tests.support.handlers import consumes, publishers

ADMITTED_ACTIONS = {"sqs:SendMessage", "sqs:GetQueueAttributes", "sqs:GetQueueUrl"}


def admitted(shop: Assembly, queue: Resource) -> list[str]:
    """The sources that a queue's policy admits, each restricted by service and source ARN."""
    found = []
    for statement in queue_statements(shop, queue):
        if statement["Effect"] == "Deny":
            continue
        arn = statement["Condition"]["ArnEquals"]["aws:SourceArn"]
        source = source_named(shop, queue.stack, arn)
        assert source
        assert statement["Principal"] == {"Service": SERVICE_PRINCIPALS[source.type]}, queue
        assert "sqs:SendMessage" in listed(statement["Action"])
        assert set(listed(statement["Action"])) <= ADMITTED_ACTIONS, queue
        if source.type == "AWS::S3::Bucket":
            # The ARN of a bucket does not contain its account.
            account = {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
            assert statement["Condition"]["StringEquals"] == account, queue
        found.append(source.path)
    return sorted(found)


class TestAccess:
    def test_each_queue_is_encrypted(self, shop: Assembly) -> None:
        for queue in shop.of_type("AWS::SQS::Queue"):
            assert queue.properties["SqsManagedSseEnabled"] is True, queue

    def test_each_queue_rejects_requests_without_tls(self, shop: Assembly) -> None:
        for queue in shop.of_type("AWS::SQS::Queue"):
            denied = [
                statement
                for statement in queue_statements(shop, queue)
                if statement["Effect"] == "Deny"
                and statement["Action"] == "sqs:*"
                and statement["Principal"] == {"AWS": "*"}
                and statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
            ]
            assert denied, queue

    def test_each_consumers_queue_has_exactly_one_source(self, shop: Assembly) -> None:
        """The source is a rule, a topic, a bucket, or the role of a subscriber or of schedules."""
        fed = [sender.queue.path for sender in senders(shop) if not sender.parks]
        assert sorted(fed) == sorted(source_of(shop, m).path for m in queue_mappings(shop))

    def test_each_queue_is_either_a_work_queue_or_a_dead_letter_queue(self, shop: Assembly) -> None:
        work = {sender.queue.path for sender in senders(shop) if not sender.parks}
        parked = {queue.path for queue in parking_queues(shop)}
        assert work | parked == {queue.path for queue in shop.of_type("AWS::SQS::Queue")}
        assert not work & parked

    def test_a_queue_admits_exactly_the_sources_that_send_to_it(self, shop: Assembly) -> None:
        sources = [sender for sender in senders(shop) if not sender.is_role]
        for queue in shop.of_type("AWS::SQS::Queue"):
            expected = {sender.resource.path for sender in sources if sender.queue == queue}
            assert admitted(shop, queue) == sorted(expected), queue

    def test_exactly_the_roles_that_send_to_a_queue_have_the_permission(
        self, shop: Assembly
    ) -> None:
        documents = [
            (shop.referred(policy.stack, role), policy.properties["PolicyDocument"])
            for policy in shop.of_type("AWS::IAM::Policy")
            for role in policy.properties["Roles"]
        ] + [
            (role, inline["PolicyDocument"])
            for role in shop.of_type("AWS::IAM::Role")
            for inline in role.properties.get("Policies", ())
        ]
        granted = {
            (role.path, shop.referred(role.stack, queue).path)
            for role, document in documents
            for statement in document["Statement"]
            if "sqs:SendMessage" in listed(statement["Action"])
            for queue in listed(statement["Resource"])
        }
        assert granted == {
            (sender.resource.path, sender.queue.path) for sender in senders(shop) if sender.is_role
        }


class TestParking:
    def test_a_queue_that_feeds_a_function_parks_after_at_least_five_attempts(
        self, shop: Assembly
    ) -> None:
        for mapping in queue_mappings(shop):
            policy = source_of(shop, mapping).properties["RedrivePolicy"]
            assert 5 <= policy["maxReceiveCount"] <= 20, mapping

    def test_undeliverable_and_unreadable_messages_share_the_queues_dead_letter_queue(
        self, shop: Assembly
    ) -> None:
        """So one redrive returns all messages for a consumer.

        S3 parks nothing. The records of a subscriber are no messages for the consumer.
        """
        for mapping in queue_mappings(shop):
            queue = source_of(shop, mapping)
            parking = shop.referred(
                queue.stack, queue.properties["RedrivePolicy"]["deadLetterTargetArn"]
            )
            given = function_of(shop, mapping).properties["Environment"]["Variables"]
            assert shop.referred(queue.stack, given["DEAD_LETTER_QUEUE_URL"]) == parking
            edge = edge_to(shop, queue)
            if edge.kind not in {"bucket", "subscriber"}:
                assert edge.parking == parking.path, queue

    def test_parked_messages_wait_for_14_days(self, shop: Assembly) -> None:
        for queue in parking_queues(shop):
            assert queue.properties["MessageRetentionPeriod"] == 14 * DAYS, queue

    def test_a_dead_letter_queue_accepts_only_its_own_source_queue(self, shop: Assembly) -> None:
        """Without a source queue, no queue may use it as its dead-letter queue."""
        without_source = {queue.path: queue for queue in parking_queues(shop)}
        for mapping in queue_mappings(shop):
            source = source_of(shop, mapping)
            arn = source.properties["RedrivePolicy"]["deadLetterTargetArn"]
            parking = without_source.pop(shop.referred(source.stack, arn).path)
            allowed = parking.properties["RedriveAllowPolicy"]
            assert allowed["redrivePermission"] == "byQueue"
            (source_arn,) = allowed["sourceQueueArns"]
            assert source_arn["Fn::Join"][1][-1] == f":{source.properties['QueueName']}"
        assert without_source
        for queue in without_source.values():
            assert queue.properties["RedriveAllowPolicy"] == {"redrivePermission": "denyAll"}


class TestReading:
    def test_work_can_wait_for_a_consumer_that_is_down_over_a_long_weekend(
        self, shop: Assembly
    ) -> None:
        for mapping in queue_mappings(shop):
            assert source_of(shop, mapping).properties["MessageRetentionPeriod"] >= 4 * DAYS

    def test_a_batch_is_not_larger_than_one_receive(self, shop: Assembly) -> None:
        """A larger batch waits for its window, and one slow message delays all others.

        https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html
        """
        for mapping in queue_mappings(shop):
            assert 1 <= mapping.properties["BatchSize"] <= 10, mapping
            assert mapping.properties.get("Enabled", True) is True, mapping

    def test_the_concurrency_of_each_consumer_is_bounded(self, shop: Assembly) -> None:
        """At least 2: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html."""
        for mapping in queue_mappings(shop):
            assert mapping.properties["ScalingConfig"]["MaximumConcurrency"] >= 2, mapping

    def test_messages_are_gathered_only_where_nobody_waits_for_them(self, shop: Assembly) -> None:
        gathered = {
            function_of(shop, mapping).path.removesuffix("/Function"): seconds
            for mapping in queue_mappings(shop)
            if (seconds := mapping.properties.get("MaximumBatchingWindowInSeconds"))
        }
        assert gathered == {
            "Inventory/IssueStock": 20,
            "Notifications/AddressCustomer": 5,
        }

    def test_queues_use_long_polling(self, shop: Assembly) -> None:
        for mapping in queue_mappings(shop):
            assert source_of(shop, mapping).properties["ReceiveMessageWaitTimeSeconds"] == 20


class TestSchedules:
    def test_a_scheduled_event_belongs_to_its_consumers_context_and_is_not_published(
        self, shop: Assembly
    ) -> None:
        """So it reaches only its consumer."""
        published = {event for events in publishers().values() for event in events}
        scheduled = 0
        for mapping in queue_mappings(shop):
            if edge_to(shop, source_of(shop, mapping)).kind not in {"schedule", "scheduled"}:
                continue
            (event,) = consumes(function_of(shop, mapping))
            assert event.source == f"orderflow.{mapping.stack.lower()}", mapping
            assert event not in published, mapping
            scheduled += 1
        assert scheduled

    def test_a_schedule_sends_the_event_that_its_consumer_reads(self, shop: Assembly) -> None:
        consumers = {source_of(shop, m).path: function_of(shop, m) for m in queue_mappings(shop)}
        for schedule in shop.of_type("AWS::Scheduler::Schedule"):
            target = schedule.properties["Target"]
            function = consumers[shop.referred(schedule.stack, target["Arn"]).path]
            detail = json.loads(target["Input"])["detail"]
            (event,) = consumes(function)
            assert (detail["source"], detail["type"]) == (event.source, event.detail_type())
            # Otherwise, the inbox would treat all but the first as duplicates.
            assert detail["id"] == "<aws.scheduler.execution-id>"

    def test_a_schedules_retries_are_limited_and_end_before_the_next_invocation(
        self, shop: Assembly
    ) -> None:
        for schedule in shop.of_type("AWS::Scheduler::Schedule"):
            retries = schedule.properties["Target"]["RetryPolicy"]
            rate, unit = schedule.properties["ScheduleExpression"][len("rate(") : -1].split()
            assert unit == "minutes"
            assert int(rate) <= 60, "the sweep must run at least once an hour"
            assert 0 < retries["MaximumRetryAttempts"] <= 185, schedule
            assert 60 <= retries["MaximumEventAgeInSeconds"] <= int(rate) * 60, schedule

    def test_failed_deliveries_of_a_schedule_group_have_alarms(self, shop: Assembly) -> None:
        """https://docs.aws.amazon.com/scheduler/latest/UserGuide/monitoring-cloudwatch.html."""
        groups = {group.path for group in shop.of_type("AWS::Scheduler::ScheduleGroup")}
        for metric in ("InvocationDroppedCount", "InvocationsFailedToBeSentToDeadLetterCount"):
            assert alarms_of(shop, metric, "ScheduleGroup").keys() == groups
