"""AWS::DynamoDB: tables with their streams and indexes."""

import json
from typing import Any

from cdk_rehearsal.deployment import Deployment
from cdk_rehearsal.properties import Properties
from cdk_rehearsal.resources.registry import Resource, creates
from cdk_rehearsal.services.expiry import Expiry

# Capacity, backups and protection change nothing of what is delivered.
_IGNORED = (
    "ContributorInsightsSpecification",
    "DeletionProtectionEnabled",
    "OnDemandThroughput",
    "PointInTimeRecoverySpecification",
    "TableClass",
    "Tags",
    "WarmThroughput",
)


@creates("AWS::DynamoDB::Table")
def create_table(deployment: Deployment, resource: Resource, properties: Properties) -> None:
    """Creates a table.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-dynamodb-table.html
    """
    properties.ignore(*_IGNORED, "ProvisionedThroughput")
    encryption = properties.section("SSESpecification")
    encryption.ignore("SSEEnabled", "SSEType")
    _create(deployment, resource, properties, encryption, properties.section("ResourcePolicy"))


@creates("AWS::DynamoDB::GlobalTable")
def create_global_table(deployment: Deployment, resource: Resource, properties: Properties) -> None:
    """Creates a table with its one replica, in the rehearsal's region.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-dynamodb-globaltable.html
    """
    properties.section("SSESpecification").ignore("SSEEnabled", "SSEType")
    properties.ignore(
        "WarmThroughput",
        "WriteOnDemandThroughputSettings",
        "WriteProvisionedThroughputSettings",
    )
    replicas = properties.sections("Replicas")
    if len(replicas) != 1:
        raise properties.error("the rehearsal knows tables with one replica only")
    replicas[0].only("Region", deployment.core.region)
    replicas[0].ignore(
        *_IGNORED,
        "GlobalSecondaryIndexes",
        "ReadOnDemandThroughputSettings",
        "ReadProvisionedThroughputSettings",
    )
    encryption, policy = (replicas[0].section(n) for n in ("SSESpecification", "ResourcePolicy"))
    _create(deployment, resource, properties, encryption, policy)


def _create(
    deployment: Deployment,
    resource: Resource,
    properties: Properties,
    encryption: Properties,
    policy: Properties,
) -> None:
    client = deployment.client("dynamodb")
    name = properties.take("TableName") or resource.generated_name(255)
    properties.ignore("BillingMode")
    stream = properties.section("StreamSpecification")
    specification = {}
    if stream.values:
        specification["StreamSpecification"] = {
            "StreamEnabled": True,
            "StreamViewType": stream.require("StreamViewType"),
        }
    indexes: dict[str, Any] = {}
    for kind in ("GlobalSecondaryIndexes", "LocalSecondaryIndexes"):
        parts = properties.sections(kind)
        for part in parts:
            part.ignore(
                "ContributorInsightsSpecification",
                "OnDemandThroughput",
                "ProvisionedThroughput",
                "WarmThroughput",
                "WriteOnDemandThroughputSettings",
                "WriteProvisionedThroughputSettings",
            )
        if parts:
            indexes[kind] = [part.pick("IndexName", "KeySchema", "Projection") for part in parts]
    description = client.create_table(
        TableName=name,
        KeySchema=properties.require("KeySchema"),
        AttributeDefinitions=properties.require("AttributeDefinitions"),
        BillingMode="PAY_PER_REQUEST",
        **specification,
        **indexes,
    )["TableDescription"]
    expiry = properties.section("TimeToLiveSpecification")
    if expiry.values:
        attribute, enabled = expiry.require("AttributeName"), expiry.boolean("Enabled", True)
        client.update_time_to_live(
            TableName=name,
            TimeToLiveSpecification={"AttributeName": attribute, "Enabled": enabled},
        )
        if enabled:
            Expiry(deployment.core, name, attribute)
    arn = description["TableArn"]
    deployment.core.access.encrypt(arn, encryption.take("KMSMasterKeyId"))
    if policy.values:
        document = json.dumps(policy.require("PolicyDocument"))
        client.put_resource_policy(ResourceArn=arn, Policy=document)
    resource.physical_id = name
    resource.attributes = {"Arn": arn, "TableId": deployment.core.new_id()}
    if stream.values:
        resource.attributes["StreamArn"] = description["LatestStreamArn"]
