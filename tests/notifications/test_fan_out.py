"""The stack: one topic, a filter for each channel, and least privileges."""

from collections.abc import Mapping
from typing import Any

import pytest

from cdk_rehearsal import Assembly, Resource
from lambdas.notifications.events import Channel
from tests.conftest import STAGES
from tests.stacks.hops import route_at

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
    route = route_at(shop, "Notifications/Requests")
    assert route.pattern == {
        "source": ["orderflow.notifications"],
        "detail-type": ["NotificationRequested.v1"],
    }
    assert shop.referred(route.resource.stack, route.target).path == TOPIC
    assert "InputTransformer" not in route.properties
    assert "Transformer" not in route.resource.properties


def key_of_the_topic(shop: Assembly) -> Resource:
    topic = shop.at(TOPIC)
    return shop.referred(topic.stack, topic.properties["KmsMasterKeyId"])


def test_the_topic_is_encrypted_with_a_key_that_rotates(shop: Assembly) -> None:
    assert key_of_the_topic(shop).properties["EnableKeyRotation"] is True


def test_the_key_admits_a_classic_bus(classic: Assembly) -> None:
    (statement,) = [
        statement
        for statement in key_of_the_topic(classic).properties["KeyPolicy"]["Statement"]
        if statement["Principal"] == {"Service": "events.amazonaws.com"}
    ]
    assert {"kms:Decrypt", "kms:GenerateDataKey*"} <= set(statement["Action"])
    assert "Condition" not in statement, "EventBridge to an encrypted topic supports none"


def test_a_custom_bus_publishes_with_a_role_that_may_use_the_key(custom: Assembly) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-target-sns.html."""
    route = route_at(custom, "Notifications/Requests")
    role = custom.referred(route.resource.stack, route.properties["RoleArn"])
    (inline,) = role.properties["Policies"]
    granted = {
        custom.referred(role.stack, statement["Resource"]).path: statement["Action"]
        for statement in inline["PolicyDocument"]["Statement"]
    }
    assert granted == {
        TOPIC: "sns:Publish",
        key_of_the_topic(custom).path: ["kms:Decrypt", "kms:GenerateDataKey"],
        "Notifications/Requests/Subscriber/Undelivered": "sqs:SendMessage",
    }


def statements_of_the_topic(shop: Assembly) -> list[dict[str, Any]]:
    (policy,) = [
        policy
        for policy in shop.of_type("AWS::SNS::TopicPolicy")
        if policy.path.startswith("Notifications/")
    ]
    found: list[dict[str, Any]] = policy.properties["PolicyDocument"]["Statement"]
    return found


def test_the_topic_admits_nobody_without_tls(shop: Assembly) -> None:
    deny, *_ = statements_of_the_topic(shop)
    assert deny["Effect"] == "Deny"
    assert deny["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_the_topic_admits_no_service_but_a_classic_bus(classic: Assembly, custom: Assembly) -> None:
    assert len(statements_of_the_topic(custom)) == 1, "a subscriber publishes as its role"
    _, allow = statements_of_the_topic(classic)
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
