"""AWS::S3: buckets, and whom they notify of their objects."""

import json
from typing import Any

from cdk_rehearsal.deployment import Deployment
from cdk_rehearsal.properties import Properties
from cdk_rehearsal.resources.registry import Resource, creates

# Of what S3 can notify, what the rehearsal does:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-event-types-and-destinations.html
_EVENTS = (
    "s3:ObjectCreated:*",
    "s3:ObjectCreated:CompleteMultipartUpload",
    "s3:ObjectCreated:Copy",
    "s3:ObjectCreated:Post",
    "s3:ObjectCreated:Put",
    "s3:ObjectRemoved:*",
    "s3:ObjectRemoved:Delete",
    "s3:ObjectRemoved:DeleteMarkerCreated",
)
# Configurations and their destination, as templates and as the API call them.
_KINDS = (
    ("QueueConfigurations", "Queue", "QueueConfigurations"),
    ("LambdaConfigurations", "Function", "LambdaFunctionConfigurations"),
    ("TopicConfigurations", "Topic", "TopicConfigurations"),
)
# The member of each with the ARN of the destination.
DESTINATIONS = {
    "QueueConfigurations": "QueueArn",
    "LambdaFunctionConfigurations": "LambdaFunctionArn",
    "TopicConfigurations": "TopicArn",
}


@creates("AWS::S3::Bucket")
def create_bucket(deployment: Deployment, resource: Resource, properties: Properties) -> None:
    """Creates a bucket with its notifications.

    As S3 does, it asks at once whether each destination lets the bucket in. What guards and what
    ages objects (public access, ownership, logging, lifecycle) is left out.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-s3-bucket.html
    """
    properties.ignore(
        *("AccelerateConfiguration", "AccessControl", "AnalyticsConfigurations"),
        *("CorsConfiguration", "IntelligentTieringConfigurations"),
        *("InventoryConfigurations", "LifecycleConfiguration", "LoggingConfiguration"),
        *("MetricsConfigurations", "ObjectLockConfiguration", "ObjectLockEnabled"),
        *("OwnershipControls", "PublicAccessBlockConfiguration", "Tags"),
    )
    client = deployment.client("s3")
    name = properties.take("BucketName") or resource.generated_name(63).lower()
    options: dict[str, Any] = {}
    if deployment.core.region != "us-east-1":
        options["CreateBucketConfiguration"] = {"LocationConstraint": deployment.core.region}
    client.create_bucket(Bucket=name, **options)
    arn = f"arn:aws:s3:::{name}"
    resource.physical_id = name
    resource.attributes = {
        "Arn": arn,
        "DomainName": f"{name}.s3.amazonaws.com",
        "DualStackDomainName": f"{name}.s3.dualstack.{deployment.core.region}.amazonaws.com",
        "RegionalDomainName": f"{name}.s3.{deployment.core.region}.amazonaws.com",
        "WebsiteURL": f"http://{name}.s3-website-{deployment.core.region}.amazonaws.com",
    }
    for part in properties.section("BucketEncryption").sections(
        "ServerSideEncryptionConfiguration"
    ):
        part.ignore("BlockedEncryptionTypes", "BucketKeyEnabled")
        default = part.section("ServerSideEncryptionByDefault")
        default.only("SSEAlgorithm", "AES256", "aws:kms", "aws:kms:dsse")
        deployment.core.access.encrypt(arn, default.take("KMSMasterKeyID"))
    status = properties.section("VersioningConfiguration").take("Status")
    if status is not None:
        client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": status})
    notifications = _notifications(properties.section("NotificationConfiguration"))
    notify(deployment, name, notifications, properties)


def notify(
    deployment: Deployment, bucket: str, configuration: dict[str, Any], properties: Properties
) -> None:
    """Sets the notifications of a bucket, in the form of S3's API.

    Raises UnsupportedTemplateError, with the place of ``properties``, as S3 refuses them.
    """
    seen: list[tuple[str, str, str]] = []
    for kind, destination in DESTINATIONS.items():
        for entry in configuration.get(kind, []):
            _check_overlap(entry, seen, properties)
            if not deployment.buckets.is_admitted(entry[destination], f"arn:aws:s3:::{bucket}"):
                path = deployment.core.path_of(entry[destination])
                raise properties.error(
                    "Unable to validate the following destination configurations: "
                    f"{path} does not admit s3.amazonaws.com for arn:aws:s3:::{bucket}. If its "
                    "policy or permission does, name that in the bucket's DependsOn"
                )
    unknown = configuration.keys() - {*DESTINATIONS, "EventBridgeConfiguration"}
    if unknown:
        raise properties.error(f"the rehearsal does not know {', '.join(sorted(unknown))}")
    if configuration:
        deployment.client("s3").put_bucket_notification_configuration(
            Bucket=bucket, NotificationConfiguration=configuration
        )


@creates("AWS::S3::BucketPolicy")
def create_bucket_policy(
    deployment: Deployment, resource: Resource, properties: Properties
) -> None:
    """Gives a bucket a policy.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-s3-bucketpolicy.html
    """
    deployment.client("s3").put_bucket_policy(
        Bucket=properties.require("Bucket"), Policy=json.dumps(properties.require("PolicyDocument"))
    )
    resource.physical_id = resource.generated_name(128)


def _notifications(properties: Properties) -> dict[str, Any]:
    """Returns a notification configuration as S3's API has it."""
    result: dict[str, Any] = {}
    if properties.section("EventBridgeConfiguration").boolean("EventBridgeEnabled", False):
        result["EventBridgeConfiguration"] = {}
    for section, destination, kind in _KINDS:
        for part in properties.sections(section):
            rules = part.section("Filter").section("S3Key").sections("Rules")
            names = {rule.require("Name").lower(): rule.require("Value") for rule in rules}
            entry: dict[str, Any] = {
                DESTINATIONS[kind]: part.require(destination),
                "Events": [part.require("Event")],
            }
            if names:
                filters = [{"Name": name, "Value": value} for name, value in names.items()]
                entry["Filter"] = {"Key": {"FilterRules": filters}}
            result.setdefault(kind, []).append(entry)
    return result


def _check_overlap(
    entry: dict[str, Any], seen: list[tuple[str, str, str]], properties: Properties
) -> None:
    """Raises an error for events that are not known, and for two entries that want the same."""
    rules = entry.get("Filter", {}).get("Key", {}).get("FilterRules", [])
    names = {rule["Name"].lower(): rule["Value"] for rule in rules}
    unknown = names.keys() - {"prefix", "suffix"}
    if unknown:
        raise properties.error(f"a key is filtered by prefix and suffix, not {unknown}")
    for event in entry["Events"]:
        if event not in _EVENTS:
            raise properties.error(f"the rehearsal does not know Event = {event!r}")
        wanted = (event, names.get("prefix", ""), names.get("suffix", ""))
        if any(_overlap(wanted, other) for other in seen):
            raise properties.error(
                "Configurations overlap. Configurations on the same bucket cannot share a "
                "common event type"
            )
        seen.append(wanted)


def _overlap(one: tuple[str, str, str], other: tuple[str, str, str]) -> bool:
    """Whether two configurations could both want one change, which S3 refuses.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-filtering.html
    """
    (event, prefix, suffix), (event2, prefix2, suffix2) = one, other
    family, family2 = event.removesuffix("*"), event2.removesuffix("*")
    return (
        (family.startswith(family2) or family2.startswith(family))
        and (prefix.startswith(prefix2) or prefix2.startswith(prefix))
        and (suffix.endswith(suffix2) or suffix2.endswith(suffix))
    )
