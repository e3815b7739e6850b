"""Types of which a rehearsal creates nothing but a name, and the attributes that they have."""

from collections.abc import Mapping
from typing import Any

from cdk_rehearsal.assembly import Resource
from cdk_rehearsal.topology.replacements import schema


def _types(service: str, names: str) -> frozenset[str]:
    return frozenset(f"AWS::{service}::{name}" for name in names.split())


WITHOUT_PART: frozenset[str] = frozenset().union(
    _types("ApiGateway", "Account ClientCertificate GatewayResponse DocumentationPart"),
    _types("ApplicationInsights", "Application"),
    _types("Backup", "BackupPlan BackupSelection BackupVault"),
    _types("CDK", "Metadata"),
    _types("CertificateManager", "Certificate"),
    _types("CloudFormation", "WaitConditionHandle"),
    _types("CloudWatch", "Alarm CompositeAlarm Dashboard"),
    _types("Cognito", "IdentityPool IdentityPoolRoleAttachment"),
    _types("EC2", "EIP FlowLog InternetGateway NatGateway NetworkAcl NetworkAclEntry Route"),
    _types("EC2", "RouteTable SecurityGroup SecurityGroupEgress SecurityGroupIngress Subnet"),
    _types("EC2", "SubnetNetworkAclAssociation SubnetRouteTableAssociation VPC VPCCidrBlock"),
    _types("EC2", "VPCEndpoint VPCGatewayAttachment"),
    _types("ECR", "Repository"),
    _types("EventSchemas", "Registry Schema"),
    _types("KMS", "Alias Key"),
    _types("Lambda", "CodeSigningConfig LayerVersionPermission"),
    _types("Logs", "MetricFilter QueryDefinition"),
    _types("ResourceGroups", "Group"),
    _types("Route53", "HostedZone RecordSet RecordSetGroup"),
    _types("SecretsManager", "ResourcePolicy"),
    _types("ServiceCatalogAppRegistry", "Application AttributeGroup ResourceAssociation"),
    _types("XRay", "Group SamplingRule"),
)
"""Types that play no part in delivery: a rehearsal only gives them a name."""

_IDLE: Mapping[str, frozenset[str]] = {
    "requests do not pass through it": _types("CloudFront", "Distribution Function CachePolicy")
    | _types("CloudFront", "CloudFrontOriginAccessIdentity OriginAccessControl KeyGroup PublicKey")
    | _types("CloudFront", "OriginRequestPolicy ResponseHeadersPolicy")
    | _types("ElasticLoadBalancingV2", "Listener ListenerRule LoadBalancer TargetGroup")
    | _types("WAFv2", "IPSet WebACL WebACLAssociation")
    | _types("ApiGateway", "BasePathMapping DomainName VpcLink")
    | _types("ApiGatewayV2", "ApiMapping DomainName VpcLink"),
    "its containers do not run": _types("ECS", "Cluster Service TaskDefinition"),
    "it does not run": _types("EC2", "Instance LaunchTemplate")
    | _types("CodeBuild", "Project")
    | _types("Glue", "Crawler Database Job SecurityConfiguration Table Trigger")
    | _types("Bedrock", "Agent AgentAlias ApplicationInferenceProfile DataSource KnowledgeBase")
    | _types("SageMaker", "Endpoint EndpointConfig Model"),
    "it has no content, and calls to it fail": _types("ElastiCache", "CacheCluster SubnetGroup")
    | _types("Athena", "WorkGroup NamedQuery")
    | _types("Elasticsearch", "Domain")
    | _types("Kendra", "DataSource Index")
    | _types("OpenSearchService", "Domain")
    | _types("OpenSearchServerless", "AccessPolicy Collection SecurityPolicy")
    | _types("RDS", "DBCluster DBInstance DBProxy DBProxyTargetGroup DBSubnetGroup")
    | _types("RDS", "EventSubscription")
    | _types("RedshiftServerless", "Namespace Workgroup"),
    "no device publishes, so it never acts": _types("IoT", "Policy Thing TopicRule"),
    "nobody signs in through it": _types("Cognito", "UserPoolUICustomizationAttachment")
    | _types("Cognito", "UserPoolIdentityProvider ManagedLoginBranding"),
}

STAND_IN_TYPES: Mapping[str, str] = {
    type_: says for says, types in _IDLE.items() for type_ in types
}
"""Types that do something on AWS, and nothing in a rehearsal with stand-ins; each with what."""


def idle(resource: Resource) -> str:
    """Returns what a resource does not do in a rehearsal with stand-ins; empty if it may not idle.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-custom-resources.html
    """
    if resource.type.startswith(("Custom::", "AWS::CloudFormation::CustomResource")):
        return "its function is not called"
    return STAND_IN_TYPES.get(resource.type, "")


def properties_of(type_: str) -> frozenset[str]:
    """Returns the properties of a type that a template can set."""
    described = schema(type_)
    attributes = (_names(each) for each in described.get("readOnlyProperties", []))
    read_only = {names[0] for names in attributes if len(names) == 1}
    return frozenset(described.get("properties", {})) - read_only


def attribute(type_: str, name: str) -> str | None:
    """Returns the kind of a type's attribute, such as `string`; None if it has no such one.

    A custom resource may have any.
    """
    described = schema(type_)
    if not described:
        return "string"
    if name not in {".".join(_names(each)) for each in described.get("readOnlyProperties", [])}:
        return None
    node: Mapping[str, Any] = described
    for part in name.split("."):
        node = node.get("properties", {}).get(part, {})
        if reference := node.get("$ref"):
            node = described.get("definitions", {}).get(reference.rpartition("/")[2], {})
    kind = node.get("type", "string")
    return kind if isinstance(kind, str) else "string"


def _names(pointer: str) -> list[str]:
    return pointer.removeprefix("/properties/").split("/")
