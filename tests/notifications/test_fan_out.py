"""The stack: one topic, a filter for each channel, and least privileges."""

from collections.abc import Mapping
from typing import Any

import pytest

from cdk_rehearsal import Assembly, Resource
from lambdas.notifications.events import Channel
from tests.conftest import STAGES

SENDERS = {
    Channel.EMAIL: "Notifications/SendEmail",
    Channel.SMS: "Notifications/SendSms",
    Channel.WEBHOOK: "Notifications/CallWebhook",
}
TOPIC = "Notifications/Requests/Topic"


@pytest.fixture(params=STAGES)
def shop(request: pytest.FixtureRequest, templates: Mapping[str, Assembly]) -> Assembly:
    """The templates of a stage."""
    return templates[request.param]


def subscription(shop: Assembly, channel: Channel) -> Resource:
    (found,) = [
        resource
        for resource in shop.of_type("AWS::SNS::Subscription")
        if resource.path.startswith(f"{SENDERS[channel]}/")
    ]
    return found


def statements(shop: Assembly, role: str) -> list[dict[str, Any]]:
    return [
        statement
        for policy in shop.of_type("AWS::IAM::Policy")
        if policy.path.startswith(f"{role}/")
        for statement in policy.properties["PolicyDocument"]["Statement"]
    ]


def test_notification_requests_reach_the_topic_unchanged(shop: Assembly) -> None:
    rule = shop.at("Notifications/Requests/Rule")
    assert rule.properties["EventPattern"] == {
        "source": ["orderflow.notifications"],
        "detail-type": ["NotificationRequested.v1"],
    }
    (target,) = rule.properties["Targets"]
    assert shop.referred(rule.stack, target["Arn"]).path == TOPIC
    assert "InputTransformer" not in target


def test_the_topic_is_encrypted_with_a_key_that_rotates_and_admits_the_bus(shop: Assembly) -> None:
    topic = shop.at(TOPIC)
    key = shop.referred(topic.stack, topic.properties["KmsMasterKeyId"])
    assert key.properties["EnableKeyRotation"] is True
    (statement,) = [
        statement
        for statement in key.properties["KeyPolicy"]["Statement"]
        if statement["Principal"] == {"Service": "events.amazonaws.com"}
    ]
    assert {"kms:Decrypt", "kms:GenerateDataKey*"} <= set(statement["Action"])
    assert "Condition" not in statement, "EventBridge to an encrypted topic supports none"


def test_only_the_bus_may_publish_and_only_with_tls(shop: Assembly) -> None:
    (policy,) = [
        policy
        for policy in shop.of_type("AWS::SNS::TopicPolicy")
        if policy.path.startswith("Notifications/")
    ]
    deny, allow = policy.properties["PolicyDocument"]["Statement"]
    assert deny["Effect"] == "Deny"
    assert deny["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert allow["Action"] == "sns:Publish"
    assert allow["Principal"] == {"Service": "events.amazonaws.com"}
    assert "Condition" not in allow, "EventBridge supports none in a topic's policy"


@pytest.mark.parametrize("channel", list(Channel))
class TestEachChannel:
    def test_it_receives_the_requests_that_name_it_in_the_form_of_the_bus(
        self, shop: Assembly, channel: Channel
    ) -> None:
        properties = subscription(shop, channel).properties
        assert properties["FilterPolicyScope"] == "MessageBody"
        assert properties["FilterPolicy"] == {
            "source": ["orderflow.notifications"],
            "detail-type": ["NotificationRequested.v1"],
            "detail": {"data": {"channels": [channel.value]}},
        }
        assert properties["RawMessageDelivery"] is True

    def test_undeliverable_messages_go_to_the_dead_letter_queue_of_its_consumer(
        self, shop: Assembly, channel: Channel
    ) -> None:
        found = subscription(shop, channel)
        parking = found.properties["RedrivePolicy"]["deadLetterTargetArn"]
        queue = shop.at(f"{SENDERS[channel]}/Queue")
        assert queue.properties["RedrivePolicy"]["deadLetterTargetArn"] == parking
        policy = shop.at(f"{SENDERS[channel]}/DeadLetters/Policy")
        (admitted,) = [
            statement
            for statement in policy.properties["PolicyDocument"]["Statement"]
            if statement["Effect"] == "Allow"
        ]
        assert admitted["Principal"] == {"Service": "sns.amazonaws.com"}
        source = admitted["Condition"]["ArnEquals"]["aws:SourceArn"]
        assert shop.referred(policy.stack, source).path == TOPIC

    def test_its_batches_have_one_message_so_that_failures_delay_no_other(
        self, shop: Assembly, channel: Channel
    ) -> None:
        (mapping,) = [
            mapping
            for mapping in shop.of_type("AWS::Lambda::EventSourceMapping")
            if mapping.path.startswith(f"{SENDERS[channel]}/")
        ]
        assert mapping.properties["BatchSize"] == 1


@pytest.mark.parametrize("role", ["AddressCustomer", "SendEmail", "SendSms"])
def test_functions_that_sign_nothing_may_read_no_secret(shop: Assembly, role: str) -> None:
    found = statements(shop, f"Notifications/{role}")
    assert found
    assert "secretsmanager" not in str(found)
