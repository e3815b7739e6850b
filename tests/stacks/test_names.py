"""Physical names differ between stages, accounts and regions, for every type of resource.

The properties that form a name come from CloudFormation's resource schemas, which cfn-lint ships:
https://docs.aws.amazon.com/cloudformation-cli/latest/userguide/resource-type-schema.html
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any

import pytest
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

from cdk_rehearsal import Assembly, Resolver, Resource
from cdk_rehearsal.topology import is_name
from tests.conftest import STAGES

ACCOUNTS = ("111111111111", "222222222222")
REGIONS = ("us-gov-west-1", "ap-southeast-7")

GLOBAL, ACCOUNT, REGION = "partition", "account", "account and region"
SCOPES: Mapping[str, tuple[str, str]] = {
    "AWS::CloudWatch::Dashboard": (
        ACCOUNT,
        "https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-cloudwatch-dashboard.html",
    ),
    "AWS::EventSchemas::Registry": (
        REGION,
        "https://docs.aws.amazon.com/eventbridge/latest/schema-reference/v1-registries-name-registryname.html",
    ),
    "AWS::Events::EventBus": (
        REGION,
        "https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_CreateEventBus.html",
    ),
    "AWS::EventsV2::EventBus": (
        REGION,
        "https://docs.aws.amazon.com/eventbridgev2/latest/APIReference/API_CreateEventBus.html",
    ),
    "AWS::EventsV2::Subscriber": (
        REGION,
        "https://docs.aws.amazon.com/eventbridgev2/latest/APIReference/API_CreateSubscriber.html",
    ),
    "AWS::Logs::LogGroup": (
        REGION,
        "https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_CreateLogGroup.html",
    ),
    "AWS::Logs::ResourcePolicy": (
        REGION,
        "https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutResourcePolicy.html",
    ),
    "AWS::S3::Bucket": (
        GLOBAL,
        "https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html",
    ),
    "AWS::SES::EmailIdentity": (
        REGION,
        "https://docs.aws.amazon.com/ses/latest/dg/regions.html",
    ),
    "AWS::SQS::Queue": (
        REGION,
        "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_CreateQueue.html",
    ),
    "AWS::Scheduler::ScheduleGroup": (
        REGION,
        "https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateScheduleGroup.html",
    ),
    "AWS::StepFunctions::StateMachine": (
        REGION,
        "https://docs.aws.amazon.com/step-functions/latest/apireference/API_CreateStateMachine.html",
    ),
}
"""The scope in which names of each type must be unique, with the AWS page that says so.

If names are unique per region, the ARN contains the region, and other regions may reuse the name.
"""

WITHIN_ANOTHER = {"AWS::StepFunctions::StateMachineAlias"}
"""The types whose names are unique within another resource.

https://docs.aws.amazon.com/step-functions/latest/apireference/API_CreateStateMachineAlias.html
"""


@dataclass(frozen=True)
class Place:
    """A deployment of the application: its stage, account and region."""

    stage: str
    account: str
    region: str

    def within(self, scope: str) -> tuple[str, ...]:
        """A key that is equal for two deployments if names of this scope must differ in them."""
        return {GLOBAL: (), ACCOUNT: (self.account,), REGION: (self.account, self.region)}[scope]


PLACES = [Place(*place) for place in product(STAGES, ACCOUNTS, REGIONS)]


@cache
def naming(type_: str) -> tuple[str, ...]:
    """The properties in a template that identify a resource of a type.

    If CloudFormation generates the identifier, such as an ARN, these are the immutable properties
    that are called a name.
    """
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", type_).schema
    made = set(schema.get("readOnlyProperties", []))
    given = [pointer for pointer in schema["primaryIdentifier"] if pointer not in made]
    if len(given) < len(schema["primaryIdentifier"]):
        given = [
            pointer
            for pointer in schema.get("createOnlyProperties", [])
            if pointer.endswith("Name") or is_name(type_, pointer.rpartition("/")[2])
        ]
    return tuple(pointer.removeprefix("/properties/") for pointer in given)


def names(shop: Assembly, place: Place) -> Iterator[tuple[Resource, str]]:
    """The physical names of a deployment's resources, except those without a name of their own.

    CloudFormation generates some names. Other resources are a part of the resource that they refer
    to. A reference in a name stands for the other resource's name, which is checked itself.
    """
    for stack in shop.stacks:

        def unique(*of: str, stack: str = stack.name) -> str:
            return f"<{'/'.join((*map(str, vars(place).values()), stack, *of))}>"

        resolver = Resolver(
            stack,
            account=place.account,
            region=place.region,
            ref=unique,
            get_att=unique,
            import_value=unique,
        )
        for resource in shop.resources:
            if resource.stack != stack.path or resource.type in WITHIN_ANOTHER:
                continue
            values = [resource.properties.get(name) for name in naming(resource.type)]
            if None not in values:
                parts = [str(resolver.resolve(value, resource.path)) for value in values]
                if not all(map(refers, parts)):
                    yield resource, " ".join(parts)


def refers(name: str) -> bool:
    """Whether a name contains another resource's name."""
    return "<" in name


@pytest.fixture(scope="module")
def named(templates: Mapping[str, Assembly]) -> list[tuple[Place, Resource, str]]:
    """The physical names of all resources in all deployments."""
    return [
        (place, resource, name)
        for place in PLACES
        for resource, name in names(templates[place.stage], place)
    ]


Named = list[tuple[Place, Resource, str]]


def test_the_scope_of_each_named_type_is_known(classic: Assembly, custom: Assembly) -> None:
    types = {
        resource.type
        for shop in (classic, custom)
        for resource, name in names(shop, PLACES[0])
        if not refers(name)
    }
    assert types == SCOPES.keys()


def test_names_are_unique_within_their_scope(named: Named) -> None:
    taken: dict[Any, str] = {}
    for place, resource, name in named:
        scope, source = SCOPES.get(resource.type, (GLOBAL, "it is named after another resource"))
        here = f"{resource} in {place}"
        first = taken.setdefault((resource.type, name, *place.within(scope)), here)
        assert first == here, f"{name}: unique per {scope}, see {source}"


def test_every_bucket_has_a_name_that_is_valid_in_each_region(named: Named) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html."""
    found = [name for _, resource, name in named if resource.type == "AWS::S3::Bucket"]
    assert found
    for name in found:
        assert len(name) <= 63
        assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


def test_an_export_is_named_after_its_stack(templates: Mapping[str, Assembly]) -> None:
    """Exports are unique per account and region.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-stack-exports.html
    """
    for shop in templates.values():
        assert shop.exports
        for name, (stack, _) in shop.exports.items():
            assert name.startswith(f"{shop.stack_names[stack]}:"), name


@pytest.mark.parametrize(
    ("type_", "expected"),
    [
        ("AWS::ApiGatewayV2::Stage", {"ApiId", "StageName"}),
        ("AWS::CloudWatch::Alarm", {"AlarmName"}),
        ("AWS::Cognito::UserPoolGroup", {"UserPoolId", "GroupName"}),
        ("AWS::EventSchemas::Schema", {"SchemaName", "RegistryName"}),
        ("AWS::Events::Rule", {"Name"}),
        ("AWS::IAM::ManagedPolicy", {"ManagedPolicyName"}),
        ("AWS::IAM::Policy", set()),
        ("AWS::IAM::Role", {"RoleName"}),
        ("AWS::KMS::Alias", {"AliasName"}),
        ("AWS::Lambda::Function", {"FunctionName"}),
        ("AWS::SNS::Topic", {"TopicName"}),
        ("AWS::SQS::Queue", {"QueueName"}),
        ("AWS::SecretsManager::Secret", {"Name"}),
        ("AWS::StepFunctions::StateMachine", {"StateMachineName"}),
    ],
)
def test_the_name_properties_of_a_type_are_found_in_its_schema(
    type_: str, expected: set[str]
) -> None:
    assert set(naming(type_)) == expected
