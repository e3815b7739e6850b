"""Custom resources of the CDK library: the rehearsal itself does what their functions do.

They are known by the type that the library gives them, or by the constant id of the function.
https://docs.aws.amazon.com/cdk/api/v2/docs/aws-cdk-lib.custom_resources-readme.html
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import boto3
from botocore import xform_name

from cdk_rehearsal.assembly import Assembly, Resource, named
from cdk_rehearsal.authorization.decisions import Denied
from cdk_rehearsal.deployment import Deployment
from cdk_rehearsal.properties import Properties
from cdk_rehearsal.resources import s3
from cdk_rehearsal.resources.registry import Creator

_SDK_CALLS = "AWS679f53fac002430cb0da5b7982bd2287"
"""The beginning of the logical id of the function of all `AwsCustomResource`s."""

_SERVICES = {
    "cloudwatchlogs": "logs",
    "cognitoidentityserviceprovider": "cognito-idp",
    "eventbridge": "events",
    "cloudwatchevents": "events",
    "sfn": "stepfunctions",
}
"""The names of services that botocore knows by another one than the JavaScript SDK."""


def is_provider(resource: Resource, assembly: Assembly) -> bool:
    """Whether a resource is the function of custom resources that the rehearsal does itself."""
    if resource.type != "AWS::Lambda::Function":
        return False
    served = _served(assembly).get((resource.stack, resource.logical_id), [])
    return bool(served) and all(custom_creator(each, assembly) for each in served)


def custom_creator(resource: Resource, assembly: Assembly) -> Creator | None:
    """Returns what does the work of a custom resource of the CDK library; None for others."""
    if "ServiceToken" not in resource.definition.get("Properties", {}):
        return None
    token = resource.definition["Properties"]["ServiceToken"]
    if any(name.startswith(_SDK_CALLS) for name in named(token)):
        return _call_sdk
    return _CREATORS.get(resource.type)


def _served(assembly: Assembly) -> dict[tuple[str, str], list[Resource]]:
    """The custom resources by the function that they name."""
    found: dict[tuple[str, str], list[Resource]] = {}
    for resource in assembly.resources:
        token = resource.definition.get("Properties", {}).get("ServiceToken")
        # Hardly any resource has one.
        for name in named(token) if token else ():
            found.setdefault((resource.stack, name), []).append(resource)
    return found


def _nothing(deployment: Deployment, resource: Resource, properties: Properties) -> None:
    """Does nothing: its function acts only when the stack is deleted, or on a network."""
    properties.ignore(*properties.values)


def _notify(deployment: Deployment, resource: Resource, properties: Properties) -> None:
    """Sets the notifications of a bucket.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketNotificationConfiguration.html
    """
    properties.ignore("ServiceToken", "Managed", "SkipDestinationValidation")
    bucket = properties.require("BucketName")
    configuration = properties.take("NotificationConfiguration") or {}
    s3.notify(deployment, bucket, configuration, properties)


def _keep_logs(deployment: Deployment, resource: Resource, properties: Properties) -> None:
    """Creates a log group, whose retention is of no effect."""
    properties.ignore(
        "ServiceToken", "LogGroupRegion", "RetentionInDays", "RemovalPolicy", "SdkRetry", "Tags"
    )
    name = properties.require("LogGroupName")
    client = deployment.client("logs")
    if not client.describe_log_groups(logGroupNamePrefix=name)["logGroups"]:
        client.create_log_group(logGroupName=name)
    resource.physical_id = name
    resource.attributes = {"LogGroupName": name}


def _upload(deployment: Deployment, resource: Resource, properties: Properties) -> None:
    """Puts the files of assets into a bucket.

    https://docs.aws.amazon.com/cdk/api/v2/docs/aws-cdk-lib.aws_s3_deployment-readme.html
    """
    properties.ignore(
        *("ServiceToken", "SourceBucketNames", "WaitForDistributionInvalidation", "Prune"),
        *("OutputObjectKeys", "DistributionId", "DistributionPaths", "SystemMetadata"),
        *("UserMetadata", "RetainOnDelete", "DestinationBucketArn"),
    )
    properties.only("Extract", True, "true")
    properties.only("Exclude", [])
    properties.only("Include", [])
    bucket = properties.require("DestinationBucketName")
    prefix = properties.take("DestinationBucketKeyPrefix", "")
    keys = properties.require("SourceObjectKeys")
    markers = properties.take("SourceMarkers") or [{} for _ in keys]
    properties.ignore("SourceMarkersConfig")
    for key, replaced in zip(keys, markers, strict=True):
        directory = deployment.assembly.asset_directory(key)
        for file in sorted(path for path in directory.rglob("*") if path.is_file()):
            content = file.read_bytes()
            for marker, value in replaced.items():
                content = content.replace(marker.encode(), str(value).encode())
            name = f"{prefix}/{file.relative_to(directory).as_posix()}".lstrip("/")
            deployment.client("s3").put_object(Bucket=bucket, Key=name, Body=content)
    resource.attributes = {
        "DestinationBucketArn": f"arn:aws:s3:::{bucket}",
        "SourceObjectKeys": keys,
    }


def _trigger(deployment: Deployment, resource: Resource, properties: Properties) -> None:
    """Invokes a function once everything is deployed.

    https://docs.aws.amazon.com/cdk/api/v2/docs/aws-cdk-lib.triggers-readme.html
    """
    properties.ignore("ServiceToken", "InvocationType", "Timeout", "ExecuteOnHandlerChange")
    function = deployment.lambdas.function(properties.require("HandlerArn"))
    deployment.lambdas.invoke_async(function, "{}", source=resource.path)


def _call_sdk(deployment: Deployment, resource: Resource, properties: Properties) -> None:
    """Makes the call that an `AwsCustomResource` makes when it is created, or else updated.

    The role of its function has to permit the call.

    https://docs.aws.amazon.com/cdk/api/v2/docs/aws-cdk-lib.custom_resources.AwsCustomResource.html
    """
    properties.ignore("Delete", "InstallLatestAwsSdk")
    token = properties.require("ServiceToken")
    create, update = properties.take("Create"), properties.take("Update")
    stated = create if create is not None else update
    if stated is None:
        return
    call = json.loads(stated) if isinstance(stated, str) else stated
    service, operation = _operation(call, properties)
    role = call.get("assumedRoleArn") or deployment.provider_roles[token]
    client, parameters = deployment.client(service), call.get("parameters", {})
    try:
        deployment.core.access.authorize_call(
            deployment.core.access.session(role, resource.logical_id),
            client.meta.service_model,
            operation,
            parameters,
        )
    except Denied as denied:
        raise properties.error(str(denied)) from None
    answer = getattr(client, xform_name(operation))(**parameters)
    resource.attributes = dict(_flat(answer, ""))
    identified = call.get("physicalResourceId") or {}
    if "id" in identified:
        resource.physical_id = identified["id"]
    elif "responsePath" in identified:
        resource.physical_id = str(resource.attributes[identified["responsePath"]])


def _operation(call: Mapping[str, Any], properties: Properties) -> tuple[str, str]:
    """The service and the operation of a call, whose names are those of JavaScript."""
    stated = str(call["service"])
    name = stated.rpartition("/")[2].removeprefix("client-").replace("-", "").lower()
    available = boto3.session.Session().get_available_services()
    services = {each.replace("-", ""): each for each in available}
    service = services.get(_SERVICES.get(name, name).replace("-", ""))
    if service is None:
        raise properties.error(f"the AWS SDK for Python does not know the service {stated}")
    action = re.sub("Command$", "", str(call["action"]))
    return service, action[:1].upper() + action[1:]


def _flat(value: Any, path: str) -> Any:
    """Yields the members of an answer by their path, as CloudFormation gets them."""
    children = (
        value.items()
        if isinstance(value, Mapping)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for name, child in children:
        inner = f"{path}.{name}" if path else str(name)
        yield inner, child
        yield from _flat(child, inner)


_CREATORS: Mapping[str, Callable[[Deployment, Resource, Properties], None]] = {
    "Custom::CDKBucketDeployment": _upload,
    "Custom::ECRAutoDeleteImages": _nothing,
    "Custom::LogRetention": _keep_logs,
    "Custom::S3AutoDeleteObjects": _nothing,
    "Custom::S3BucketNotifications": _notify,
    "Custom::Trigger": _trigger,
    "Custom::VpcRestrictDefaultSG": _nothing,
}

TYPES = frozenset(_CREATORS)
"""The types of the CDK library that are known; those of SDK calls have any type."""
