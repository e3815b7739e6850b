"""Secrets Manager and SES: what handlers read and send."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cdk_rehearsal import Rehearsal, RehearsalError, UnsupportedTemplateError
from rehearsal.cloud import Cloud, ref
from rehearsal.conftest import Rehearse

START = 1767600000.0


def secret(shop: Rehearsal, path: str = "Shop/Secret") -> str:
    answer = shop.client("secretsmanager").get_secret_value(SecretId=shop.physical_id(path))
    return str(answer["SecretString"])


def test_a_handler_reads_a_secret_by_its_arn(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html"""
    template.add("Secret", "AWS::SecretsManager::Secret", SecretString="open sesame")
    template.function(
        "Function",
        """
        import boto3, os
        def handler(event, context):
            client = boto3.client("secretsmanager")
            return client.get_secret_value(SecretId=os.environ["SECRET"])["SecretString"]
        """,
        Environment={"Variables": {"SECRET": ref("Secret")}},
    )
    shop = rehearse()
    assert shop.physical_id("Shop/Secret").startswith("arn:aws:secretsmanager:eu-central-1:")
    assert shop.invoke("Shop/Function", {}).payload == "open sesame"
    (call,) = shop.meter.of("call")
    assert call.target == "Shop/Secret"


def test_a_secret_is_generated_from_the_seed(template: Cloud) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-secretsmanager-secret-generatesecretstring.html"""
    template.add(
        "Secret",
        "AWS::SecretsManager::Secret",
        Description="Signs call-backs",
        GenerateSecretString={"PasswordLength": 40, "ExcludePunctuation": True},
    )
    template.write()

    def generated(seed: int) -> str:
        with Rehearsal(template.directory, seed=seed) as shop:
            return secret(shop)

    value = generated(1)
    assert len(value) == 40
    assert value.isalnum()
    assert generated(1) == value
    assert generated(2) != value


def test_a_generated_secret_can_stand_in_a_template(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-secretsmanager-secret-generatesecretstring.html"""
    template.add(
        "Secret",
        "AWS::SecretsManager::Secret",
        GenerateSecretString={
            "SecretStringTemplate": '{"user": "shop"}',
            "GenerateStringKey": "password",
        },
    )
    value = json.loads(secret(rehearse()))
    assert value["user"] == "shop"
    assert len(value["password"]) == 32


@pytest.mark.parametrize("properties", [{}, {"SecretString": "x", "GenerateSecretString": {}}])
def test_a_secret_has_one_source(
    template: Cloud, rehearse: Rehearse, properties: dict[str, Any]
) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-secretsmanager-secret.html"""
    template.add("Secret", "AWS::SecretsManager::Secret", **properties)
    with pytest.raises(UnsupportedTemplateError, match=r"Secret \(AWS::SecretsManager::Secret\)"):
        rehearse()


# -- e-mail -------------------------------------------------------------------------------

SENDER = """
    import boto3, os
    def handler(event, context):
        boto3.client("sesv2").send_email(
            FromEmailAddress=event.get("from", "shop@orderflow.example"),
            Destination={"ToAddresses": ["ada@example.com"]},
            Content={"Simple": {
                "Subject": {"Data": "Grüße"},
                "Body": {"Text": {"Data": "Thank you"}, "Html": {"Data": "<p>Thank you</p>"}},
            }},
            ConfigurationSetName=event.get("set", os.environ["SET"]),
        )
"""


@pytest.fixture
def mail(template: Cloud, rehearse: Rehearse) -> Rehearsal:
    """A function that may send from a domain."""
    template.add("Identity", "AWS::SES::EmailIdentity", EmailIdentity="orderflow.example")
    template.add("Set", "AWS::SES::ConfigurationSet", SendingOptions={"SendingEnabled": True})
    template.add(
        "Events",
        "AWS::SES::ConfigurationSetEventDestination",
        ConfigurationSetName=ref("Set"),
        EventDestination={"Enabled": True, "MatchingEventTypes": ["BOUNCE"]},
    )
    template.function("Function", SENDER, Environment={"Variables": {"SET": ref("Set")}})
    return rehearse()


def test_mail_that_was_sent_can_be_read(mail: Rehearsal) -> None:
    """https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html"""
    assert not mail.invoke("Shop/Function", {}).failed
    (email,) = mail.sent_email
    assert (email.from_address, email.to_addresses) == (
        "shop@orderflow.example",
        ["ada@example.com"],
    )
    assert (email.subject, email.text, email.html) == ("Grüße", "Thank you", "<p>Thank you</p>")
    assert email.configuration_set == mail.physical_id("Shop/Set")
    assert (email.time, email.sender) == (START, "Shop/Function")


@pytest.mark.parametrize(
    ("event", "error"),
    [
        ({"from": "shop@elsewhere.example"}, "MessageRejected"),
        ({"set": "another"}, "does not exist"),
    ],
)
def test_mail_that_ses_refuses_is_not_sent(
    mail: Rehearsal, event: dict[str, str], error: str
) -> None:
    """https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html"""
    result = mail.invoke("Shop/Function", event)
    assert error in result.payload["errorType"] + result.payload["errorMessage"]
    assert mail.sent_email == []


def test_mail_that_is_not_simple_is_an_error(mail: Rehearsal) -> None:
    with pytest.raises(RehearsalError, match="Simple"):
        mail.client("sesv2").send_email(
            FromEmailAddress="shop@orderflow.example",
            Destination={"ToAddresses": ["ada@example.com"]},
            Content={"Raw": {"Data": b"Subject: x\n\ny"}},
        )
