"""AWS::SecretsManager: secrets, given or generated."""

import json

from cdk_rehearsal.deployment import Deployment
from cdk_rehearsal.properties import Properties
from cdk_rehearsal.resources.registry import Resource, creates


@creates("AWS::SecretsManager::Secret")
def create_secret(deployment: Deployment, resource: Resource, properties: Properties) -> None:
    """Creates a secret; what is generated comes from the seed.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-secretsmanager-secret.html
    """
    properties.ignore("Description", "Tags")
    generate = properties.section("GenerateSecretString")
    value = properties.take("SecretString")
    if (value is None) == ("GenerateSecretString" not in properties):
        raise properties.error("a secret has a SecretString or a GenerateSecretString")
    if value is None:
        value = _generated(deployment, generate)
    arn = deployment.client("secretsmanager").create_secret(
        Name=properties.take("Name") or resource.generated_name(256), SecretString=value
    )["ARN"]
    deployment.core.access.encrypt(arn, properties.take("KmsKeyId"))
    resource.physical_id = arn
    resource.attributes = {"Id": arn}


@creates("AWS::SecretsManager::ResourcePolicy")
def create_resource_policy(
    deployment: Deployment, resource: Resource, properties: Properties
) -> None:
    """Gives a secret a policy.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-secretsmanager-resourcepolicy.html
    """
    properties.ignore("BlockPublicPolicy")
    secret = properties.require("SecretId")
    deployment.client("secretsmanager").put_resource_policy(
        SecretId=secret, ResourcePolicy=json.dumps(properties.require("ResourcePolicy"))
    )
    resource.physical_id = secret


def _generated(deployment: Deployment, properties: Properties) -> str:
    """Returns a random password, in its template if there is one.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-secretsmanager-secret-generatesecretstring.html
    """
    options = {
        name: properties.boolean(name, False)
        for name in (
            "ExcludeLowercase",
            "ExcludeNumbers",
            "ExcludePunctuation",
            "ExcludeUppercase",
            "IncludeSpace",
        )
    }
    password: str = deployment.client("secretsmanager").get_random_password(
        PasswordLength=properties.integer("PasswordLength", 32),
        ExcludeCharacters=properties.take("ExcludeCharacters", ""),
        RequireEachIncludedType=properties.boolean("RequireEachIncludedType", True),
        **options,
    )["RandomPassword"]
    template = properties.take("SecretStringTemplate")
    if template is None:
        return password
    return json.dumps({**json.loads(template), properties.require("GenerateStringKey"): password})
