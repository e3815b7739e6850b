"""AWS::SES: identities that send e-mail, and configuration sets."""

from cdk_rehearsal.deployment import Deployment
from cdk_rehearsal.properties import Properties
from cdk_rehearsal.resources.registry import Resource, creates


@creates("AWS::SES::EmailIdentity")
def create_email_identity(
    deployment: Deployment, resource: Resource, properties: Properties
) -> None:
    """Creates an address or domain that may send; here it is verified at once.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-ses-emailidentity.html
    """
    properties.ignore(
        "ConfigurationSetAttributes",
        "DkimAttributes",
        "DkimSigningAttributes",
        "FeedbackAttributes",
        "MailFromAttributes",
        "Tags",
    )
    name = properties.require("EmailIdentity")
    deployment.client("sesv2").create_email_identity(EmailIdentity=name)
    resource.physical_id = name
    arn = f"arn:aws:ses:{deployment.core.region}:{deployment.core.account}:identity/{name}"
    resource.attributes = {"Arn": arn, "EmailIdentity": name}


@creates("AWS::SES::ConfigurationSet")
def create_configuration_set(
    deployment: Deployment, resource: Resource, properties: Properties
) -> None:
    """Creates a configuration set.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-ses-configurationset.html
    """
    properties.ignore(
        "DeliveryOptions",
        "ReputationOptions",
        "SendingOptions",
        "SuppressionOptions",
        "Tags",
        "TrackingOptions",
        "VdmOptions",
    )
    name = properties.take("Name") or resource.generated_name(64)
    deployment.client("sesv2").create_configuration_set(ConfigurationSetName=name)
    resource.physical_id = name


@creates("AWS::SES::ConfigurationSetEventDestination")
def create_event_destination(
    deployment: Deployment, resource: Resource, properties: Properties
) -> None:
    """Leaves out where SES reports deliveries and bounces: there are none in a rehearsal.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-ses-configurationseteventdestination.html
    """
    properties.ignore("ConfigurationSetName", "EventDestination")
    resource.physical_id = resource.generated_name(64)
