"""Limits on growth: each resource that stores data deletes it after some time."""

from collections.abc import Callable, Mapping

from cdk_rehearsal import Assembly, Properties, Resource

YEAR_D = 366


def _positive(value: object, most: int) -> bool:
    return isinstance(value, int) and 0 < value <= most


def _table(properties: Properties) -> bool:
    """tests/architecture/test_growth.py checks which items expire."""
    ttl = properties.get("TimeToLiveSpecification", {})
    return ttl.get("Enabled") is True and bool(ttl.get("AttributeName"))


def _bucket(properties: Properties) -> bool:
    rules = properties.get("LifecycleConfiguration", {}).get("Rules", [])
    # A rule with a filter does not apply to all objects.
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
    "AWS::EventsV2::EventBus": lambda p: _positive(
        p.get("StorageConfiguration", {}).get("RetentionPeriodInDays"), YEAR_D
    ),
    "AWS::Kinesis::Stream": lambda p: _positive(p.get("RetentionPeriodHours", 24), YEAR_D * 24),
    "AWS::Logs::LogGroup": lambda p: _positive(p.get("RetentionInDays"), YEAR_D),
    "AWS::S3::Bucket": _bucket,
    "AWS::SQS::Queue": lambda p: _positive(p.get("MessageRetentionPeriod", 345_600), 1_209_600),
}
"""The types that store data, with the check that the data expires."""

BOUNDED = {
    "AWS::Cognito::UserPool": "one entry for each account, until it is deleted",
    "AWS::Lambda::Function": "a deployment replaces its code; its log is a log group",
    "AWS::Lambda::Version": "a deployment replaces it, and deletes the previous version",
    "AWS::Lambda::LayerVersion": "a deployment replaces it, and deletes the previous version",
    "AWS::Scheduler::ScheduleGroup": "one-time schedules are deleted after their invocation",
    "AWS::StepFunctions::StateMachine": "executions are deleted 90 days after their end",
    "AWS::StepFunctions::StateMachineVersion": "one for each change of a workflow, 1,000 at most",
    "AWS::EventSchemas::Registry": "one entry for each version of an event's class",
}
"""The types that store data without a retention period in the template, with the reason.

https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
"""

HOLDS_NOTHING = {
    *(f"AWS::ApiGatewayV2::{what}" for what in ("Api", "Authorizer", "Integration", "Route")),
    "AWS::ApiGatewayV2::Stage",
    "AWS::Budgets::Budget",
    "AWS::CloudWatch::Alarm",
    "AWS::CloudWatch::Dashboard",
    "AWS::CodeDeploy::Application",
    "AWS::CodeDeploy::DeploymentGroup",
    "AWS::Cognito::UserPoolClient",
    "AWS::Cognito::UserPoolGroup",
    "AWS::EventSchemas::Schema",
    "AWS::Events::EventBus",
    "AWS::Events::Rule",
    "AWS::EventsV2::Subscriber",
    "AWS::IAM::Policy",
    "AWS::IAM::Role",
    "AWS::KMS::Key",
    "AWS::Lambda::Alias",
    "AWS::Lambda::EventSourceMapping",
    "AWS::Lambda::Permission",
    "AWS::Logs::LogStream",
    "AWS::Logs::QueryDefinition",
    "AWS::Logs::ResourcePolicy",
    "AWS::S3::BucketPolicy",
    "AWS::SES::EmailIdentity",
    "AWS::SNS::Subscription",
    "AWS::SNS::Topic",
    "AWS::SNS::TopicPolicy",
    "AWS::SQS::QueuePolicy",
    "AWS::Scheduler::Schedule",
    "AWS::SecretsManager::Secret",
    "AWS::StepFunctions::StateMachineAlias",
}

# Tables of the sandboxes, which simulate external systems.
OTHERS = {"Payments/SandboxProvider", "Shipping/SandboxCarrier"}


def endless(shop: Assembly) -> list[Resource]:
    return [
        resource
        for resource in shop.all_of(*ENDS)
        if resource.path not in OTHERS and not ENDS[resource.type](resource.properties)
    ]


def test_stored_data_expires(shop: Assembly, classic: Assembly, custom: Assembly) -> None:
    shops = (shop, classic, custom)
    assert [str(resource) for each in shops for resource in endless(each)] == []


def test_each_type_is_classified_by_whether_it_stores_data(
    classic: Assembly, custom: Assembly
) -> None:
    """Add a new type to one of the lists above. Stages on either kind of bus count."""
    types = {resource.type for each in (classic, custom) for resource in each.resources}
    assert types == ENDS.keys() | BOUNDED.keys() | HOLDS_NOTHING


def test_the_tables_of_the_sandboxes_exist(templates: Mapping[str, Assembly]) -> None:
    dev = templates["dev"]
    assert {dev.at(path).type for path in OTHERS} == {"AWS::DynamoDB::GlobalTable"}
