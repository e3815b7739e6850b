"""AWS::IAM: the roles of functions and what they may do."""

import json

from cdk_rehearsal.authorization.stored_policies import managed_policy
from cdk_rehearsal.deployment import Deployment
from cdk_rehearsal.properties import Properties
from cdk_rehearsal.resources.registry import Resource, creates


@creates("AWS::IAM::Role")
def create_role(deployment: Deployment, resource: Resource, properties: Properties) -> None:
    """Creates a role with its inline policies.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-iam-role.html
    """
    client = deployment.client("iam")
    properties.ignore("Description", "MaxSessionDuration")
    boundary = properties.take("PermissionsBoundary")
    name = properties.take("RoleName") or resource.generated_name(64)
    role = client.create_role(
        RoleName=name,
        Path=properties.take("Path", "/"),
        AssumeRolePolicyDocument=json.dumps(properties.require("AssumeRolePolicyDocument")),
        Tags=properties.take("Tags", []),
        **({"PermissionsBoundary": boundary} if boundary else {}),
    )["Role"]
    for arn in properties.take("ManagedPolicyArns", []):
        managed_policy(deployment.core.account, arn)
        client.attach_role_policy(RoleName=name, PolicyArn=arn)
    for policy in properties.sections("Policies"):
        client.put_role_policy(
            RoleName=name,
            PolicyName=policy.require("PolicyName"),
            PolicyDocument=json.dumps(policy.require("PolicyDocument")),
        )
    resource.physical_id = name
    resource.attributes = {"Arn": role["Arn"], "RoleId": role["RoleId"]}


@creates("AWS::IAM::Policy")
def create_policy(deployment: Deployment, resource: Resource, properties: Properties) -> None:
    """Puts an inline policy on roles.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-iam-policy.html
    """
    document = json.dumps(properties.require("PolicyDocument"))
    name = properties.require("PolicyName")
    for role in properties.require("Roles"):
        deployment.client("iam").put_role_policy(
            RoleName=role, PolicyName=name, PolicyDocument=document
        )
    resource.physical_id = resource.generated_name(128)
    resource.attributes = {"Id": resource.physical_id}


@creates("AWS::IAM::ManagedPolicy")
def create_managed_policy(
    deployment: Deployment, resource: Resource, properties: Properties
) -> None:
    """Creates a managed policy and attaches it to roles.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-iam-managedpolicy.html
    """
    properties.ignore("Description", "Groups", "Users")
    client = deployment.client("iam")
    arn = client.create_policy(
        PolicyName=properties.take("ManagedPolicyName") or resource.generated_name(128),
        Path=properties.take("Path", "/"),
        PolicyDocument=json.dumps(properties.require("PolicyDocument")),
    )["Policy"]["Arn"]
    for role in properties.take("Roles", []):
        client.attach_role_policy(RoleName=role, PolicyArn=arn)
    resource.physical_id = arn
    resource.attributes = {"PolicyArn": arn}
