"""AWS::Cognito: the user pools that authorizers trust."""

from cdk_rehearsal.deployment import Deployment
from cdk_rehearsal.properties import Properties
from cdk_rehearsal.resources.registry import Resource, creates

CLIENT_SETTINGS = (
    "AccessTokenValidity",
    "AllowedOAuthFlows",
    "AllowedOAuthFlowsUserPoolClient",
    "AllowedOAuthScopes",
    "AuthSessionValidity",
    "CallbackURLs",
    "DefaultRedirectURI",
    "EnableTokenRevocation",
    "ExplicitAuthFlows",
    "IdTokenValidity",
    "LogoutURLs",
    "PreventUserExistenceErrors",
    "ReadAttributes",
    "RefreshTokenValidity",
    "SupportedIdentityProviders",
    "TokenValidityUnits",
    "WriteAttributes",
)
"""The settings of a client that can be changed.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-cognito-userpoolclient.html
"""


@creates("AWS::Cognito::UserPool")
def create_user_pool(deployment: Deployment, resource: Resource, properties: Properties) -> None:
    """Creates a user pool.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-cognito-userpool.html
    """
    # Sign-up and recovery are not rehearsed. Triggers would invoke functions.
    properties.only("LambdaConfig", {})
    properties.ignore(
        "AccountRecoverySetting",
        "AdminCreateUserConfig",
        "AutoVerifiedAttributes",
        "DeletionProtection",
        "DeviceConfiguration",
        "EmailConfiguration",
        "EmailVerificationMessage",
        "EmailVerificationSubject",
        "SmsConfiguration",
        "SmsVerificationMessage",
        "UserAttributeUpdateSettings",
        "UserPoolAddOns",
        "UserPoolTags",
        "UserPoolTier",
        "VerificationMessageTemplate",
    )
    client = deployment.client("cognito-idp")
    pool = client.create_user_pool(
        PoolName=properties.take("UserPoolName") or resource.generated_name(128),
        **properties.pick(
            "AliasAttributes", "Policies", "Schema", "UsernameAttributes", "UsernameConfiguration"
        ),
    )["UserPool"]
    # Only an app can be the second factor; messages are not rehearsed.
    client.set_user_pool_mfa_config(
        UserPoolId=pool["Id"],
        MfaConfiguration=properties.take("MfaConfiguration", "OFF"),
        SoftwareTokenMfaConfiguration={
            "Enabled": "SOFTWARE_TOKEN_MFA" in properties.take("EnabledMfas", [])
        },
    )
    issuer = f"cognito-idp.{deployment.core.region}.amazonaws.com/{pool['Id']}"
    resource.physical_id = pool["Id"]
    resource.attributes = {
        "Arn": pool["Arn"],
        "ProviderName": issuer,
        "ProviderURL": f"https://{issuer}",
        "UserPoolId": pool["Id"],
    }


@creates("AWS::Cognito::UserPoolClient")
def create_user_pool_client(
    deployment: Deployment, resource: Resource, properties: Properties
) -> None:
    """Creates a client of a user pool.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-cognito-userpoolclient.html
    """
    client = deployment.client("cognito-idp").create_user_pool_client(
        ClientName=properties.take("ClientName") or resource.generated_name(128),
        **properties.pick("GenerateSecret", "UserPoolId", *CLIENT_SETTINGS),
    )["UserPoolClient"]
    resource.physical_id = client["ClientId"]
    resource.attributes = {"ClientId": client["ClientId"], "Name": client["ClientName"]}


@creates("AWS::Cognito::UserPoolResourceServer")
def create_resource_server(
    deployment: Deployment, resource: Resource, properties: Properties
) -> None:
    """Creates a resource server, which names scopes.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-cognito-userpoolresourceserver.html
    """
    server = deployment.client("cognito-idp").create_resource_server(
        **properties.pick("Identifier", "Name", "Scopes", "UserPoolId")
    )["ResourceServer"]
    resource.physical_id = server["Identifier"]


@creates("AWS::Cognito::UserPoolDomain")
def create_user_pool_domain(
    deployment: Deployment, resource: Resource, properties: Properties
) -> None:
    """Creates the domain of a user pool.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-cognito-userpooldomain.html
    """
    properties.ignore("CustomDomainConfig", "ManagedLoginVersion")
    domain = properties.require("Domain")
    deployment.client("cognito-idp").create_user_pool_domain(
        Domain=domain, UserPoolId=properties.require("UserPoolId")
    )
    resource.physical_id = domain


@creates("AWS::Cognito::UserPoolGroup")
def create_user_pool_group(
    deployment: Deployment, resource: Resource, properties: Properties
) -> None:
    """Creates a group of users, whose tokens name it as one of their ``cognito:groups``.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-cognito-userpoolgroup.html
    """
    name = properties.take("GroupName") or resource.generated_name(128)
    precedence = properties.optional_integer("Precedence")
    deployment.client("cognito-idp").create_group(
        GroupName=name,
        **({} if precedence is None else {"Precedence": precedence}),
        **properties.pick("Description", "RoleArn", "UserPoolId"),
    )
    resource.physical_id = name
