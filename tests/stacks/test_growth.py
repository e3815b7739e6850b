"""Bounds on growth: whatever holds something lets go of it one day."""

from collections.abc import Callable, Mapping

from cdk_rehearsal import Assembly, Properties, Resource

YEAR_D = 366


def _positive(value: object, most: int) -> bool:
    return isinstance(value, int) and 0 < value <= most


def _table(properties: Properties) -> bool:
    """Which items have a time to live is in tests/architecture/test_growth.py."""
    ttl = properties.get("TimeToLiveSpecification", {})
    return ttl.get("Enabled") is True and bool(ttl.get("AttributeName"))


def _bucket(properties: Properties) -> bool:
    rules = properties.get("LifecycleConfiguration", {}).get("Rules", [])
    # A rule with a filter does not end the rest.
    return any(
        rule["Status"] == "Enabled"
        and not rule.keys() & {"Prefix", "TagFilters", "ObjectSizeGreaterThan"}
        and _positive(rule.get("ExpirationInDays"), YEAR_D)
        and _positive(rule.get("NoncurrentVersionExpiration", {}).get("NoncurrentDays"), YEAR_D)
        and _positive(
            rule.get("AbortIncompleteMultipartUpload", {}).get("DaysAfterInitiation"), YEAR_D
        )
        for rule in rules
    )


ENDS: Mapping[str, Callable[[Properties], bool]] = {
    "AWS::DynamoDB::GlobalTable": _table,
    "AWS::Events::Archive": lambda p: _positive(p.get("RetentionDays"), YEAR_D),
    "AWS::Kinesis::Stream": lambda p: _positive(p.get("RetentionPeriodHours", 24), YEAR_D * 24),
    "AWS::Logs::LogGroup": lambda p: _positive(p.get("RetentionInDays"), YEAR_D),
    "AWS::S3::Bucket": _bucket,
    "AWS::SQS::Queue": lambda p: _positive(p.get("MessageRetentionPeriod", 345_600), 1_209_600),
}
"""What holds things, and whether each of them has an end of life."""

BOUNDED = {
    "AWS::Cognito::UserPool": "one entry a customer, and as long as they are one",
    "AWS::Lambda::Function": "a deployment replaces its code; its log is a log group",
    "AWS::Lambda::LayerVersion": "a deployment replaces it, and deletes the one before",
    "AWS::Scheduler::ScheduleGroup": "schedules that fire once are deleted when they have fired",
    "AWS::StepFunctions::StateMachine": "executions are forgotten 90 days after their end",
    "AWS::EventSchemas::Registry": "one entry for each version of an event's class",
}
"""What holds things too, and why it needs no end that a template could state.

https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
"""

HOLDS_NOTHING = {
    *(f"AWS::ApiGatewayV2::{what}" for what in ("Api", "Authorizer", "Integration", "Route")),
    "AWS::ApiGatewayV2::Stage",
    "AWS::CloudWatch::Alarm",
    "AWS::CloudWatch::Dashboard",
    "AWS::Cognito::UserPoolClient",
    "AWS::Cognito::UserPoolGroup",
    "AWS::EventSchemas::Schema",
    "AWS::Events::EventBus",
    "AWS::Events::Rule",
    "AWS::IAM::Policy",
    "AWS::IAM::Role",
    "AWS::KMS::Key",
    "AWS::Lambda::EventSourceMapping",
    "AWS::Lambda::Permission",
    "AWS::Logs::ResourcePolicy",
    "AWS::S3::BucketPolicy",
    "AWS::SES::EmailIdentity",
    "AWS::SNS::Subscription",
    "AWS::SNS::Topic",
    "AWS::SNS::TopicPolicy",
    "AWS::SQS::QueuePolicy",
    "AWS::Scheduler::Schedule",
    "AWS::SecretsManager::Secret",
}

# Books of the sandboxes, which stand for systems of others.
OTHERS = {"Payments/SandboxProvider", "Shipping/SandboxCarrier"}


def endless(shop: Assembly) -> list[Resource]:
    return [
        resource
        for resource in shop.all_of(*ENDS)
        if resource.path not in OTHERS and not ENDS[resource.type](resource.properties)
    ]


def test_whatever_holds_something_lets_go_of_it(shop: Assembly) -> None:
    assert [str(resource) for resource in endless(shop)] == []


def test_each_type_is_known_to_hold_something_or_nothing(shop: Assembly) -> None:
    """A new type has to be looked at: say above which it is."""
    types = {resource.type for resource in shop.resources}
    assert types == ENDS.keys() | BOUNDED.keys() | HOLDS_NOTHING


def test_nothing_is_logged_in_a_group_that_is_made_on_the_way(shop: Assembly) -> None:
    """Such a group keeps everything for ever."""
    for function in shop.of_type("AWS::Lambda::Function"):
        group = function.properties["LoggingConfig"]["LogGroup"]
        assert shop.referred(function.stack, group).type == "AWS::Logs::LogGroup", function


def test_what_stands_for_others_is_in_the_shop_and_is_a_table(shop: Assembly) -> None:
    assert {shop.at(path).type for path in OTHERS} == {"AWS::DynamoDB::GlobalTable"}
