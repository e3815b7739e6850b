"""Kinds of CloudFormation types: which play no part in delivery, and which may idle."""

from collections.abc import Mapping


def _types(service: str, names: str) -> frozenset[str]:
    return frozenset(f"AWS::{service}::{name}" for name in names.split())


WITHOUT_PART: frozenset[str] = frozenset().union(
    _types("ApiGateway", "Account ClientCertificate DocumentationPart"),
    _types("ApplicationAutoScaling", "ScalableTarget ScalingPolicy"),
    _types("ApplicationInsights", "Application"),
    _types("Backup", "BackupPlan BackupSelection BackupVault"),
    _types("Budgets", "Budget"),
    _types("CDK", "Metadata"),
    _types("CertificateManager", "Certificate"),
    _types("CloudFormation", "WaitConditionHandle"),
    _types("CloudWatch", "Dashboard"),
    _types("CodeDeploy", "Application"),
    _types("Cognito", "IdentityPool IdentityPoolRoleAttachment"),
    _types("EC2", "EIP FlowLog InternetGateway NatGateway NetworkAcl NetworkAclEntry Route"),
    _types("EC2", "RouteTable SecurityGroup SecurityGroupEgress SecurityGroupIngress Subnet"),
    _types("EC2", "SubnetNetworkAclAssociation SubnetRouteTableAssociation VPC VPCCidrBlock"),
    _types("EC2", "VPCEndpoint VPCGatewayAttachment"),
    _types("ECR", "Repository"),
    _types("EventSchemas", "Registry Schema"),
    _types("Lambda", "CodeSigningConfig LayerVersionPermission"),
    _types("Logs", "MetricFilter QueryDefinition"),
    _types("OpenSearchServerless", "VpcEndpoint"),
    _types("ResourceGroups", "Group"),
    _types("Route53", "HostedZone RecordSet RecordSetGroup"),
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
    | _types("ApiGatewayV2", "ApiMapping DomainName VpcLink")
    | _types(
        "AppSync", "ApiKey DataSource FunctionConfiguration GraphQLApi GraphQLSchema Resolver"
    ),
    "its containers do not run": _types("ECS", "Cluster Service TaskDefinition")
    | _types("ECS", "CapacityProvider ClusterCapacityProviderAssociations"),
    "what it takes goes nowhere": _types("KinesisFirehose", "DeliveryStream"),
    "it records nothing": _types("CloudTrail", "Trail"),
    "it does not run": _types("EC2", "Instance LaunchTemplate")
    | _types("BedrockAgentCore", "Gateway GatewayTarget Memory Runtime RuntimeEndpoint")
    | _types("SSM", "Association")
    | _types("CodeBuild", "Project")
    | _types("Glue", "Crawler Database Job SecurityConfiguration Table Trigger")
    | _types("Bedrock", "Agent AgentAlias ApplicationInferenceProfile DataSource KnowledgeBase")
    | _types("SageMaker", "Endpoint EndpointConfig Model"),
    "it has no content, and calls to it fail": _types("ElastiCache", "CacheCluster SubnetGroup")
    | _types("Athena", "WorkGroup NamedQuery")
    | _types("Elasticsearch", "Domain")
    | _types("QBusiness", "Application DataSource Index Retriever WebExperience")
    | _types("Kendra", "DataSource Index")
    | _types("OpenSearchService", "Domain")
    | _types("OpenSearchServerless", "AccessPolicy Collection SecurityPolicy")
    | _types("RDS", "DBCluster DBInstance DBProxy DBProxyTargetGroup DBSubnetGroup")
    | _types("RDS", "EventSubscription")
    | _types("SecretsManager", "SecretTargetAttachment")
    | _types("RedshiftServerless", "Namespace Workgroup"),
    "no device publishes, so it never acts": _types("IoT", "Policy Thing TopicRule"),
    "nobody acts through it": _types("IAM", "AccessKey Group User UserToGroupAddition"),
    "nobody signs in through it": _types("Cognito", "UserPoolUICustomizationAttachment")
    | _types("Cognito", "UserPoolIdentityProvider ManagedLoginBranding"),
}

STAND_IN_TYPES: Mapping[str, str] = {
    type_: says for says, types in _IDLE.items() for type_ in types
}
"""Types that do something on AWS, and nothing in a rehearsal with stand-ins; each with what."""

SYNCHRONOUS: frozenset[str] = frozenset().union(
    _types("ApiGateway", "ApiKey Authorizer BasePathMapping Deployment DomainName Method Model"),
    _types("ApiGateway", "RequestValidator Resource RestApi Stage UsagePlan UsagePlanKey VpcLink"),
    _types("ApiGatewayV2", "Api ApiMapping Authorizer Deployment DomainName Integration"),
    _types("ApiGatewayV2", "IntegrationResponse Model Route RouteResponse Stage VpcLink"),
    _types("Athena", "NamedQuery WorkGroup"),
    _types("CloudFront", "CachePolicy CloudFrontOriginAccessIdentity Distribution Function"),
    _types("CloudWatch", "Alarm"),
    _types("CloudFront", "KeyGroup OriginAccessControl OriginRequestPolicy PublicKey"),
    _types("CloudFront", "ResponseHeadersPolicy"),
    _types("CodeDeploy", "DeploymentConfig DeploymentGroup"),
    _types("Cognito", "ManagedLoginBranding UserPool UserPoolClient UserPoolDomain UserPoolGroup"),
    _types("Cognito", "UserPoolIdentityProvider UserPoolResourceServer"),
    _types("Cognito", "UserPoolUICustomizationAttachment"),
    _types("DynamoDB", "GlobalTable Table"),
    _types("ElastiCache", "CacheCluster SubnetGroup"),
    _types("ElasticLoadBalancingV2", "Listener ListenerRule LoadBalancer TargetGroup"),
    _types("IAM", "InstanceProfile ManagedPolicy Policy Role User"),
    _types("KMS", "Alias Key"),
    _types("Lambda", "Alias EventInvokeConfig Function LayerVersion Permission Url Version"),
    _types("Logs", "LogGroup LogStream ResourcePolicy"),
    _types("OpenSearchServerless", "AccessPolicy Collection SecurityPolicy"),
    _types("OpenSearchService", "Domain"),
    _types("RDS", "DBCluster DBInstance DBProxy DBProxyTargetGroup DBSubnetGroup"),
    _types("S3", "Bucket BucketPolicy"),
    _types("SNS", "Topic TopicPolicy"),
    _types("SES", "ConfigurationSet EmailIdentity"),
    _types("SQS", "Queue QueuePolicy"),
    _types("SSM", "Parameter"),
    _types("Scheduler", "ScheduleGroup"),
    _types("SecretsManager", "ResourcePolicy Secret SecretTargetAttachment"),
    _types("StepFunctions", "StateMachine StateMachineAlias StateMachineVersion"),
    _types("WAFv2", "IPSet WebACL WebACLAssociation"),
)
"""Types that answer calls, hold what is sent to them, or say who may do what.

What they send on by themselves is stated in other resources, or in properties that the checks
read."""
