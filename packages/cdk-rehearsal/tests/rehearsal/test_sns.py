"""SNS: fan-out with filters, raw or wrapped, retries and dead letters of each subscription."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from cdk_rehearsal import Rehearsal, RehearsalError
from cdk_rehearsal.filters import SubscriptionFilter
from cdk_rehearsal.latency import Latency
from cdk_rehearsal.patterns import PatternError
from rehearsal.cloud import Cloud, arn, ref
from rehearsal.conftest import Deploy, Rehearse
from rehearsal.crossing import crosses
from rehearsal.worlds import World, eventually

START = 1767600000.0
DAY = 86_400.0


@pytest.fixture
def topic(template: Cloud) -> Cloud:
    """A topic that EventBridge may publish to."""
    template.add("Topic", "AWS::SNS::Topic")
    template.add(
        "TopicPolicy",
        "AWS::SNS::TopicPolicy",
        Topics=[ref("Topic")],
        PolicyDocument={"Statement": [statement("events", "sns:Publish", ref("Topic"))]},
    )
    return template


def statement(service: str, action: str, resource: Any, source: Any = None) -> dict[str, Any]:
    """A statement that admits a service, if given only for one source."""
    allowed = {
        "Effect": "Allow",
        "Principal": {"Service": f"{service}.amazonaws.com"},
        "Action": action,
        "Resource": resource,
    }
    if source is not None:
        allowed["Condition"] = {"ArnEquals": {"aws:SourceArn": source}}
    return allowed


def queue(cloud: Cloud, name: str, *, admits: bool = True) -> str:
    """Add a queue that the topic may send to."""
    cloud.add(name, "AWS::SQS::Queue")
    if admits:
        cloud.add(
            f"{name}Policy",
            "AWS::SQS::QueuePolicy",
            Queues=[ref(name)],
            PolicyDocument={
                "Statement": [statement("sns", "sqs:SendMessage", arn(name), ref("Topic"))]
            },
        )
    return name


def subscribe(
    cloud: Cloud, name: str, *, admits: bool = True, dead_letters: str | None = None, **options: Any
) -> None:
    """Add a queue and its subscription."""
    queue(cloud, name, admits=admits)
    if dead_letters is not None:
        options["RedrivePolicy"] = {"deadLetterTargetArn": arn(dead_letters)}
    cloud.add(
        f"{name}Subscription",
        "AWS::SNS::Subscription",
        TopicArn=ref("Topic"),
        Protocol="sqs",
        Endpoint=arn(name),
        **options,
    )


def publish(shop: World, message: Any = "hello", **attributes: Any) -> str:
    """Publish to the topic and wait for the end of all deliveries."""
    text = message if isinstance(message, str) else json.dumps(message)
    answer = shop.client("sns").publish(
        TopicArn=shop.physical_id("Shop/Topic"), Message=text, MessageAttributes=attributes
    )
    if isinstance(shop, Rehearsal):
        shop.run_until_idle(limit_s=30 * DAY)
    return str(answer["MessageId"])


def text(value: str, kind: str = "String") -> dict[str, str]:
    return {"DataType": kind, "StringValue": value}


def bodies(shop: World, path: str = "Shop/Queue") -> list[str]:
    return [message["body"] for message in shop.messages(path)]


def outcomes(shop: Rehearsal, target: str = "Shop/Queue") -> list[str]:
    return [r.detail["outcome"] for r in shop.meter.of("delivery", target=target)]


def test_a_message_reaches_all_subscriptions(topic: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/sns/latest/dg/sns-sqs-as-subscriber.html"""
    subscribe(topic, "Queue")
    subscribe(topic, "Other")
    shop = aws()
    message_id = publish(shop)
    assert [json.loads(body)["Message"] for body in bodies(shop)] == ["hello"]
    assert [json.loads(body)["MessageId"] for body in bodies(shop, "Shop/Other")] == [message_id]
    if isinstance(shop, Rehearsal):
        assert sorted((r.source, r.target) for r in shop.meter.of("delivery")) == [
            ("Shop/Topic", "Shop/Other"),
            ("Shop/Topic", "Shop/Queue"),
        ]


def test_a_message_is_wrapped_in_a_notification(topic: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html"""
    subscribe(topic, "Queue")
    shop = aws()
    publish(shop, colour=text("red"))
    (message,) = shop.messages("Shop/Queue")
    envelope = json.loads(message["body"])
    assert envelope["Type"] == "Notification"
    assert envelope["TopicArn"] == shop.physical_id("Shop/Topic")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", envelope["Timestamp"])
    assert envelope["MessageAttributes"] == {"colour": {"Type": "String", "Value": "red"}}
    assert {"Signature", "SignatureVersion", "SigningCertURL", "UnsubscribeURL"} <= set(envelope)
    assert message["attributes"] == {}


def test_raw_delivery_hands_over_message_and_attributes(topic: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/sns/latest/dg/sns-large-payload-raw-message-delivery.html"""
    subscribe(topic, "Queue", RawMessageDelivery=True)
    shop = aws()
    publish(
        shop,
        colour=text("red"),
        size=text("3", "Number"),
        raw={"DataType": "Binary", "BinaryValue": b"\x00\xff"},
    )
    client, url = shop.client("sqs"), shop.physical_id("Shop/Queue")

    def types() -> dict[str, str]:
        found = client.receive_message(
            QueueUrl=url, MessageAttributeNames=["All"], VisibilityTimeout=0
        )
        return {
            name: attribute["DataType"]
            for message in found.get("Messages", ())
            for name, attribute in message["MessageAttributes"].items()
        }

    assert eventually(shop, types) == {"colour": "String", "size": "Number", "raw": "Binary"}
    (message,) = shop.messages("Shop/Queue")
    assert message["body"] == "hello"
    assert message["attributes"] == {"colour": "red", "size": "3", "raw": b"\x00\xff"}


@crosses("sns.raw_attributes")
def test_a_raw_message_with_more_than_ten_attributes_is_not_delivered(
    topic: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/sns/latest/dg/sns-message-attributes.html"""
    subscribe(topic, "Queue", RawMessageDelivery=True)
    shop = rehearse()
    publish(shop, **{f"a{index}": text("x") for index in range(10)})
    publish(shop, **{f"a{index}": text("x") for index in range(11)})
    assert outcomes(shop) == ["delivered", "failed"]


def test_a_function_gets_the_notification_asynchronously(topic: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/with-sns.html"""
    subscribe_function(topic)
    topic.permission(
        "Permission",
        arn("Function"),
        "sns.amazonaws.com",
        SourceArn=ref("Topic"),
    )
    shop = aws()
    publish(shop, colour=text("red"))
    (record,) = json.loads(shop.logs("Shop/Function"))["Records"]
    assert record["EventSource"] == "aws:sns"
    assert record["EventSubscriptionArn"] == shop.physical_id("Shop/Subscription")
    assert record["Sns"]["Message"] == "hello"
    assert record["Sns"]["MessageAttributes"]["colour"]["Value"] == "red"
    assert {"SigningCertUrl", "UnsubscribeUrl"} <= set(record["Sns"])
    if isinstance(shop, Rehearsal):
        (invocation,) = shop.meter.of("invocation")
        assert (invocation.source, invocation.detail["type"]) == ("Shop/Topic", "async")


def test_a_function_that_does_not_permit_the_topic_is_not_invoked(
    topic: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/sns/latest/dg/sns-lambda-as-subscriber.html"""
    subscribe_function(topic)
    shop = rehearse()
    publish(shop)
    assert shop.meter.of("invocation") == []
    assert outcomes(shop, "Shop/Function") == ["failed"]
    assert len(shop.meter.of("discarded", source="Shop/Topic")) == 1


def subscribe_function(cloud: Cloud) -> None:
    cloud.function("Function", "import json\ndef handler(event, context): print(json.dumps(event))")
    cloud.add(
        "Subscription",
        "AWS::SNS::Subscription",
        TopicArn=ref("Topic"),
        Protocol="lambda",
        Endpoint=arn("Function"),
    )


# -- filters ------------------------------------------------------------------------------


def test_a_filter_on_attributes_keeps_the_rest_away(topic: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/sns/latest/dg/sns-message-filtering.html"""
    subscribe(topic, "Queue", FilterPolicy={"channel": ["mail"]}, RawMessageDelivery=True)
    shop = aws()
    publish(shop, "one", channel=text("mail"))
    publish(shop, "two", channel=text("sms"))
    publish(shop, "three")
    assert bodies(shop) == ["one"]
    if isinstance(shop, Rehearsal):
        filtered = shop.meter.of("delivery", target="nowhere")
        assert [(r.detail["outcome"], r.detail["subscription"]) for r in filtered] == [
            ("filtered", "Shop/QueueSubscription")
        ] * 2


def test_a_filter_on_the_body_sees_into_objects_and_arrays(topic: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/sns/latest/dg/sns-message-filtering.html"""
    subscribe(
        topic,
        "Queue",
        FilterPolicyScope="MessageBody",
        FilterPolicy={"detail": {"lines": {"sku": ["a"], "gift": [True]}}},
        RawMessageDelivery=True,
    )
    shop = aws()
    wanted = {"detail": {"lines": [{"sku": "b"}, {"sku": "a", "gift": True}]}}
    publish(shop, wanted)
    publish(shop, {"detail": {"lines": [{"sku": "b", "gift": True}, {"sku": "a"}]}})
    publish(shop, {"detail": {"lines": []}})
    publish(shop, "no JSON")
    publish(shop, ["a"])
    assert bodies(shop) == [json.dumps(wanted)]


def attributes(**values: Any) -> dict[str, dict[str, str]]:
    """Attributes of a message: text, numbers and arrays by their Python type."""
    kinds = {str: "String", int: "Number", float: "Number", list: "String.Array"}
    return {
        name: {
            "Type": kinds[type(value)],
            "Value": value if isinstance(value, str) else json.dumps(value),
        }
        for name, value in values.items()
    }


@pytest.mark.parametrize(
    ("policy", "matching", "other"),
    [
        ({"a": ["x", "y"]}, {"a": "y"}, {"a": "z"}),
        ({"a": [100]}, {"a": 100.0}, {"a": "100"}),
        ({"a": ["100"]}, {"a": "100"}, {"a": 100}),
        ({"a": ["x"]}, {"a": ["w", "x"]}, {"a": ["w"]}),
        ({"a": [{"anything-but": ["x", "y"]}]}, {"a": "z"}, {"a": "x"}),
        ({"a": [{"anything-but": ["x", "y"]}]}, {"a": ["x", "z"]}, {"a": ["x", "y"]}),
        ({"a": [{"anything-but": [1]}]}, {"a": 2}, {"a": 1}),
        ({"a": [{"anything-but": {"prefix": "order-"}}]}, {"a": "item-1"}, {"a": "order-1"}),
        ({"a": [{"prefix": "order-"}]}, {"a": "order-1"}, {"a": "item-1"}),
        ({"a": [{"suffix": ".csv"}]}, {"a": "x.csv"}, {"a": "x.CSV"}),
        ({"a": [{"equals-ignore-case": "Mail"}]}, {"a": "mAIL"}, {"a": "mai"}),
        ({"a": [{"cidr": "10.0.0.0/24"}]}, {"a": "10.0.0.7"}, {"a": "10.0.1.7"}),
        ({"a": [{"numeric": [">", 0, "<=", 150]}]}, {"a": 150}, {"a": 150.5}),
        ({"a": [{"numeric": ["=", 301.8]}]}, {"a": 301.8}, {"a": "301.8"}),
        ({"a": [{"exists": True}]}, {"a": "x"}, {"b": "x"}),
        ({"a": [{"exists": False}]}, {"b": "x"}, {}),
        ({"a": ["x"], "b": ["y"]}, {"a": "x", "b": "y"}, {"a": "x", "b": "z"}),
        ({"$or": [{"a": ["x"]}, {"b": ["y"]}]}, {"a": "w", "b": "y"}, {"a": "w"}),
        ({"order.state": ["x"]}, {"order.state": "x"}, {"order.state": "y"}),
    ],
)
def test_a_filter_on_attributes_has_these_operators(
    policy: dict[str, Any], matching: dict[str, Any], other: dict[str, Any]
) -> None:
    """https://docs.aws.amazon.com/sns/latest/dg/sns-subscription-filter-policies.html
    https://docs.aws.amazon.com/sns/latest/dg/string-value-matching.html
    """
    subscription = SubscriptionFilter(policy)
    assert subscription.matches("", attributes(**matching))
    assert not subscription.matches("", attributes(**other))


def test_binary_attributes_are_not_looked_at() -> None:
    """https://docs.aws.amazon.com/sns/latest/dg/subscription-filter-policy-constraints.html"""
    binary = {"a": {"Type": "Binary", "Value": "eA=="}}
    assert not SubscriptionFilter({"a": [{"exists": True}]}).matches("", binary)


@pytest.mark.parametrize(
    ("policy", "matching", "other"),
    [
        ({"a": {"b": [{"exists": True}]}}, {"a": {"b": 0}}, {"a": {"b": ""}}),
        ({"a": {"b": [{"exists": True}]}}, {"a": {"b": False}}, {"a": {"b": None}}),
        ({"a": [{"exists": False}]}, {"b": 1}, {"a": 1}),
        ({"a": [None]}, {"a": None}, {"a": ""}),
        ({"a": [True]}, {"a": True}, {"a": 1}),
        ({"a": {"b": [3]}}, {"a": [{"b": 2}, {"b": 3}]}, {"a": {"b": "3"}}),
        ({"a.b": [3]}, {"a": {"b": 3}}, {"a": 3}),
        ({"a": {"b": [3]}}, {"a.b": 3}, {"b": 3}),
    ],
)
def test_a_filter_on_the_body_knows_json(policy: Any, matching: Any, other: Any) -> None:
    """https://docs.aws.amazon.com/sns/latest/dg/attribute-key-matching.html"""
    subscription = SubscriptionFilter(policy, "MessageBody")
    assert subscription.matches(json.dumps(matching), {})
    assert not subscription.matches(json.dumps(other), {})


@pytest.mark.parametrize(
    ("policy", "scope", "reason"),
    [
        ({"a": {"b": ["x"]}}, "MessageAttributes", "a.b is nested"),
        ({name: ["x"] for name in "abcdef"}, "MessageBody", "6 keys"),
        ({"a": list(range(13)), "b": list(range(12))}, "MessageBody", "156 combinations"),
        ({"a": {"b": {"c": list(range(51))}}}, "MessageBody", "153 combinations"),
        ({"$or": [{"a": ["x"]}, {"a.b": {"c": ["x"]}}]}, "MessageAttributes", "a.b.c is nested"),
        ({"a": [{"like": "x"}]}, "MessageBody", "unknown operator"),
        ({"a": [{"wildcard": "o*-1"}]}, "MessageBody", "a: SNS does not support wildcard"),
        ({"a": [{"anything-but": {"suffix": "x"}}]}, "MessageBody", "anything-but with suffix"),
        ({"a": [{"prefix": {"equals-ignore-case": "x"}}]}, "MessageBody", "SNS does not support"),
        ({"a": "x"}, "MessageBody", "an object or an array"),
        ({"a": ["x"]}, "MessageSubject", "scope"),
    ],
)
def test_a_filter_that_sns_refuses_is_an_error(policy: Any, scope: str, reason: str) -> None:
    """https://docs.aws.amazon.com/sns/latest/dg/subscription-filter-policy-constraints.html"""
    with pytest.raises(PatternError, match=reason):
        SubscriptionFilter(policy, scope)


def test_a_wrong_filter_in_a_template_is_an_error_with_its_name(
    topic: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/sns/latest/dg/subscription-filter-policy-constraints.html"""
    subscribe(topic, "Queue", FilterPolicy={"a": {"b": ["x"]}})
    with pytest.raises(RehearsalError, match=r"QueueSubscription.*a\.b is nested"):
        rehearse()


# -- failure ------------------------------------------------------------------------------


def test_a_queue_that_does_not_admit_the_topic_gets_nothing(topic: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/sns/latest/dg/sns-dead-letter-queues.html"""
    queue(topic, "Dead")
    subscribe(topic, "Queue", admits=False, dead_letters="Dead")
    subscribe(topic, "Other")
    shop = aws()
    publish(shop)
    if isinstance(shop, Rehearsal):
        assert (outcomes(shop), outcomes(shop, "Shop/Other")) == (["failed"], ["delivered"])
    assert bodies(shop) == []
    (message,) = shop.messages("Shop/Dead")
    assert json.loads(message["body"])["Message"] == "hello"
    assert message["attributes"]["ErrorCode"] == "AccessDenied"
    assert {"RequestID", "ErrorMessage"} <= set(message["attributes"])
    if isinstance(shop, Rehearsal):
        (record,) = shop.meter.of("dead_letter")
        assert (record.source, record.target) == ("Shop/Topic", "Shop/Dead")
        assert shop.dead_letter_queues() == ["Shop/Dead"]


def test_a_queue_that_admits_another_topic_gets_nothing(topic: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/sns/latest/dg/sns-access-policy-use-cases.html"""
    subscribe(topic, "Queue")
    policy = topic.resources["QueuePolicy"]["Properties"]["PolicyDocument"]["Statement"][0]
    policy["Condition"]["ArnEquals"]["aws:SourceArn"] = "arn:aws:sns:eu-central-1:1:other"
    shop = aws()
    publish(shop)
    assert bodies(shop) == []


def test_a_deleted_queue_is_not_tried_again(topic: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/sns/latest/dg/sns-dead-letter-queues.html"""
    queue(topic, "Dead")
    subscribe(topic, "Queue", dead_letters="Dead", RawMessageDelivery=True)
    shop = aws()
    shop.client("sqs").delete_queue(QueueUrl=shop.physical_id("Shop/Queue"))
    publish(shop, colour=text("red"))
    if isinstance(shop, Rehearsal):
        assert outcomes(shop) == ["failed"]
    (message,) = shop.messages("Shop/Dead")
    assert message["body"] == "hello"
    assert message["attributes"]["colour"] == "red"
    assert message["attributes"]["ErrorCode"] == "AWS.SimpleQueueService.NonExistentQueue"


def test_a_delivery_that_fails_for_a_while_is_tried_again(topic: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html"""
    subscribe(topic, "Queue")
    subscribe(topic, "Other")
    shop = rehearse()
    shop.faults.fail("Shop/Queue", when="delivery", times=17)
    publish(shop)
    assert outcomes(shop) == ["failed"] * 17 + ["delivered"]
    times = [r.time - START for r in shop.meter.of("delivery", target="Shop/Queue")]
    assert times[3] == 0  # three at once
    assert 1.5 <= times[5] <= 2  # two a second apart
    assert 15 <= times[15] - times[14] <= 20  # the last of the backoff
    assert 15 <= times[16] - times[15] <= 20
    (other,) = shop.meter.of("delivery", target="Shop/Other")
    assert other.time == START


def test_after_23_days_a_message_goes_to_the_subscriptions_dead_letter_queue(
    topic: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html"""
    queue(topic, "Dead")
    subscribe(topic, "Queue", dead_letters="Dead")
    shop = rehearse()
    shop.faults.fail("Shop/Queue", when="delivery", times=None)
    publish(shop)
    assert bodies(shop) == []
    assert json.loads(bodies(shop, "Shop/Dead")[0])["Message"] == "hello"
    (record,) = shop.meter.of("dead_letter")
    assert 17 < (record.time - START) / DAY < 24
    assert len(outcomes(shop)) < 1000


@pytest.mark.parametrize("has_queue", [True, False])
def test_without_a_dead_letter_queue_that_admits_the_topic_a_message_is_lost(
    topic: Cloud, rehearse: Rehearse, has_queue: bool
) -> None:
    """https://docs.aws.amazon.com/sns/latest/dg/sns-dead-letter-queues.html"""
    queue(topic, "Dead", admits=False)
    subscribe(topic, "Queue", admits=False, dead_letters="Dead" if has_queue else None)
    shop = rehearse()
    publish(shop)
    assert bodies(shop, "Shop/Dead") == []
    (record,) = shop.meter.of("discarded")
    assert (record.source, record.detail["condition"]) == ("Shop/Topic", "AccessDenied")


def test_a_message_has_256_kilobytes_at_most(topic: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/sns/latest/api/API_Publish.html"""
    subscribe(topic, "Queue", RawMessageDelivery=True)
    shop = aws()
    publish(shop, "x" * (256 * 1024))
    with pytest.raises(shop.client("sns").exceptions.InvalidParameterException, match="too long"):
        publish(shop, "x" * (256 * 1024 - 5), colour=text("red"))
    assert len(bodies(shop)) == 1


# -- publishers ---------------------------------------------------------------------------


def rule(cloud: Cloud, **target: Any) -> None:
    cloud.bus("Bus")
    cloud.queue("Dead")
    cloud.rule(
        "Rule",
        {"source": ["shop"]},
        {"Arn": ref("Topic"), "DeadLetterConfig": {"Arn": arn("Dead")}, **target},
    )


def put_event(shop: World, **detail: Any) -> None:
    entry = {
        "Source": "shop",
        "DetailType": "Placed",
        "Detail": json.dumps(detail),
        "EventBusName": shop.physical_id("Shop/Bus"),
    }
    shop.client("events").put_events(Entries=[entry])
    shop.run_until_idle()


def test_an_event_goes_through_a_rule_and_a_topic(topic: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-targets.html"""
    rule(topic)
    subscribe(
        topic,
        "Queue",
        RawMessageDelivery=True,
        FilterPolicyScope="MessageBody",
        FilterPolicy={"detail-type": ["Placed"], "detail": {"total": [{"numeric": [">", 5]}]}},
    )
    shop = aws()
    put_event(shop, total=9)
    put_event(shop, total=1)
    assert [json.loads(body)["detail"] for body in bodies(shop)] == [{"total": 9}]
    if isinstance(shop, Rehearsal):
        hops = [
            (r.source, r.target)
            for r in shop.meter.of("delivery")
            if r.detail["outcome"] == "delivered"
        ]
        assert hops == [
            ("Shop/Rule", "Shop/Topic"),
            ("Shop/Topic", "Shop/Queue"),
            ("Shop/Rule", "Shop/Topic"),
        ]
        (record,) = shop.meter.of("delivery", target="Shop/Queue")
        assert record.detail["event"]["detail"] == {"total": 9}


@pytest.mark.parametrize(
    ("action", "delivered"), [(None, 0), ("sns:Publish", 1), ("sns:Subscribe", 0)]
)
def test_a_topic_that_does_not_admit_the_rule_takes_its_event_from_a_role_that_may_publish(
    topic: Cloud, aws: Deploy, action: str | None, delivered: int
) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html"""
    rule(topic, **({"RoleArn": arn("Publisher")} if action else {}))
    del topic.resources["TopicPolicy"]
    subscribe(topic, "Queue")
    topic.add(
        "Publisher",
        "AWS::IAM::Role",
        AssumeRolePolicyDocument={"Statement": [statement("events", "sts:AssumeRole", "*")]},
        Policies=[
            {
                "PolicyName": "Publish",
                "PolicyDocument": {
                    "Version": "2012-10-17",
                    "Statement": [
                        {"Effect": "Allow", "Action": action or "sns:*", "Resource": ref("Topic")}
                    ],
                },
            }
        ],
    )
    shop = aws()
    put_event(shop)
    assert len(bodies(shop)) == delivered
    errors = [message["attributes"]["ERROR_CODE"] for message in shop.messages("Shop/Dead")]
    assert errors == ["NO_PERMISSIONS"] * (1 - delivered)


def test_a_topic_that_fails_for_a_while_gets_the_event_later(
    topic: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-retry-policy.html"""
    rule(topic)
    subscribe(topic, "Queue")
    shop = rehearse()
    shop.faults.fail("Shop/Topic", when="delivery", times=2)
    put_event(shop)
    assert outcomes(shop, "Shop/Topic") == ["failed", "failed", "delivered"]
    assert len(bodies(shop)) == 1


def test_an_event_too_large_for_a_topic_goes_to_the_targets_dead_letter_queue(
    topic: Cloud, aws: Deploy
) -> None:
    """An event may have 1 MB, a message of SNS 256 KiB unless the topic accepts more.

    https://docs.aws.amazon.com/sns/latest/dg/large-message-payloads.html
    """
    rule(topic)
    shop = aws()
    put_event(shop, note="x" * 300_000)
    (message,) = shop.messages("Shop/Dead")
    assert message["attributes"]["ERROR_CODE"] == "INVALID_PARAMETER"


def test_a_topic_takes_larger_messages_if_it_is_told_to(topic: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/sns/latest/dg/large-message-payloads.html"""
    topic.add("Topic", "AWS::SNS::Topic", MaximumMessageSize=400_000)
    rule(topic)
    subscribe(topic, "Queue")
    shop = aws()
    put_event(shop, note="x" * 300_000)
    put_event(shop, note="x" * 400_000)
    assert len(bodies(shop)) == 1
    assert len(shop.messages("Shop/Dead")) == 1


@crosses("sns.maximum_message_bytes")
@pytest.mark.parametrize("size", [1_023, 1_048_577])
def test_a_maximum_message_size_out_of_range_is_refused(
    topic: Cloud, rehearse: Rehearse, size: int
) -> None:
    """https://docs.aws.amazon.com/sns/latest/dg/large-message-payloads.html"""
    topic.add("Topic", "AWS::SNS::Topic", TopicName="topic", MaximumMessageSize=size)
    with pytest.raises(RehearsalError, match=f"MaximumMessageSize is {size}: give 1024 to"):
        rehearse()


def test_a_handler_publishes_and_sends_a_text_message(topic: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/sns/latest/api/API_Publish.html"""
    subscribe(topic, "Queue", RawMessageDelivery=True)
    topic.function(
        "Function",
        """
        import boto3, os
        def handler(event, context):
            sns = boto3.client("sns")
            sns.publish(TopicArn=os.environ["TOPIC"], Message="news")
            sns.publish(PhoneNumber="+4930123456", Message="Your order is on its way")
        """,
        Environment={"Variables": {"TOPIC": ref("Topic")}},
    )
    shop = rehearse()
    assert not shop.invoke("Shop/Function", {}).failed
    shop.run_until_idle()
    assert bodies(shop) == ["news"]
    (sms,) = shop.sent_sms
    assert (sms.phone_number, sms.text) == ("+4930123456", "Your order is on its way")
    assert (sms.time, sms.sender) == (START, "Shop/Function")


def test_one_seed_delivers_in_one_order(topic: Cloud) -> None:
    for name in "ABCDEF":
        subscribe(topic, name)

    def order(seed: int) -> list[str]:
        with Rehearsal(topic.write(), seed=seed, latency=Latency()) as shop:
            publish(shop)
            return [r.target for r in shop.meter.of("delivery")]

    assert order(1) == order(1)
    assert order(1) != order(2)
