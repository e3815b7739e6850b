"""Configuration errors of all services are recognized, and other errors are not."""

import re

import botocore.session
import pytest
from botocore.exceptions import ClientError, NoCredentialsError, ReadTimeoutError

from lambdas.eventing.misconfiguration import (
    Misconfigured,
    blames_configuration,
    misconfiguration,
)
from stacks.constructs.packaging import AWS_SERVICES

DENIED = ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "GetItem")

WORDS = re.compile(
    "denied|authori|opt.?in|security|kms|decrypt|suspend|paused|notverified"
    "|(resource|queue|machine|bucket).*(notfound|notexist|nosuch)|nosuchbucket",
    re.IGNORECASE,
)
"""Words that occur in names of configuration errors, and rarely in other names."""
OTHERS = {
    "KMSThrottlingException",
    "KMSThrottling",
    "KmsThrottled",
    "KmsThrottlingException",
}
"""Errors with such words that are transient or caused by the content."""
TRANSIENT = re.compile("thrott|internal|unavailable|toomany|slowdown|conflict|limit", re.IGNORECASE)


def error_codes(service: str) -> set[str]:
    """The codes of all errors in botocore's model of a service."""
    model = botocore.session.get_session().get_service_model(service)
    shapes = map(model.shape_for, model.shape_names)
    return {
        (shape.metadata.get("error") or {}).get("code") or shape.name
        for shape in shapes
        if shape.metadata.get("exception")
    }


@pytest.mark.parametrize("service", AWS_SERVICES)
def test_each_modelled_configuration_error_is_recognized(service: str) -> None:
    codes = error_codes(service)
    assert codes
    for code in codes:
        if WORDS.search(code) and code not in OTHERS:
            assert blames_configuration(code), code
        if TRANSIENT.search(code):
            assert not blames_configuration(code), code


@pytest.mark.parametrize(
    "code",
    [
        # https://docs.aws.amazon.com/IAM/latest/UserGuide/common-errors.html
        "AccessDenied",
        "AccessDeniedException",
        "IncompleteSignature",
        "InvalidClientTokenId",
        "MissingAuthenticationToken",
        "NotAuthorized",
        "OptInRequired",
        "UnauthorizedOperation",
        "UnrecognizedClientException",
        # https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
        "AccountProblem",
        "AllAccessDisabled",
        "InvalidAccessKeyId",
        "NoSuchBucket",
        "SignatureDoesNotMatch",
        # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
        "AWS.SimpleQueueService.NonExistentQueue",
        "KMS.AccessDeniedException",
        "KMS.DisabledException",
        "KMS.KMSInvalidStateException",
        "KMS.NotFoundException",
        # The first version of SES's API
        "AccountSendingPausedException",
        "ConfigurationSetDoesNotExist",
        "ConfigurationSetSendingPausedException",
    ],
)
def test_configuration_errors_outside_the_models_are_recognized(code: str) -> None:
    assert blames_configuration(code)


@pytest.mark.parametrize(
    "code",
    [
        "",
        "BadRequestException",
        "ConditionalCheckFailedException",
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidParameter",
        "KMS.ThrottlingException",
        "NoSuchKey",
        "RequestExpired",
        "RequestThrottled",
        "RequestTimeTooSkewed",
        "TransactionCanceledException",
        "ValidationException",
    ],
)
def test_errors_of_content_or_load_are_not_configuration_errors(code: str) -> None:
    assert not blames_configuration(code)


def test_an_ambiguous_code_is_classified_by_its_message() -> None:
    unverified = "Email address is not verified. The following identities failed the check in …"
    deleted = "You can't perform this operation on the secret because it was marked for deletion."
    assert blames_configuration("MessageRejected", unverified)
    assert not blames_configuration("MessageRejected", "Illegal content")
    assert blames_configuration("InvalidRequestException", deleted)
    assert not blames_configuration("InvalidRequestException", "wrong")


@pytest.mark.parametrize("code", ["InvalidSignatureException", "SignatureDoesNotMatch"])
def test_an_expired_signature_is_not_a_configuration_error(code: str) -> None:
    late = "Signature expired: 20261128T210213Z is now earlier than 20261128T210813Z"
    assert not blames_configuration(code, late)
    assert blames_configuration(code, "The request signature we calculated does not match")


@pytest.mark.parametrize(
    "last",
    [
        ClientError({"Error": {"Code": "ThrottlingException", "Message": "slowly"}}, "PutItem"),
        ReadTimeoutError(endpoint_url="https://dynamodb"),
    ],
)
def test_an_error_after_a_handled_configuration_error_is_classified_by_itself(
    last: Exception,
) -> None:
    with pytest.raises(type(last)) as raised:  # noqa: PT012
        try:
            raise DENIED
        except ClientError:
            raise last  # noqa: B904
    assert misconfiguration(raised.value) is None


def test_the_reason_names_the_call_the_code_and_the_message() -> None:
    assert misconfiguration(DENIED) == "GetItem was refused with AccessDeniedException: no"


def test_a_configuration_error_is_found_among_the_causes() -> None:
    """Powertools replaces the error of Secrets Manager without naming a cause."""
    with pytest.raises(LookupError) as wrapped:  # noqa: PT012
        try:
            raise DENIED
        except ClientError as error:
            raise LookupError(str(error))  # noqa: B904
    assert misconfiguration(wrapped.value)


def test_a_suppressed_cause_is_not_reported() -> None:
    with pytest.raises(LookupError) as wrapped:  # noqa: PT012
        try:
            raise DENIED
        except ClientError:
            raise LookupError("hidden") from None
    assert misconfiguration(wrapped.value) is None


def test_missing_credentials_are_a_configuration_error_and_a_timeout_is_not() -> None:
    assert misconfiguration(NoCredentialsError())
    assert misconfiguration(Misconfigured("no table")) == "no table"
    assert misconfiguration(ReadTimeoutError(endpoint_url="https://dynamodb")) is None
    assert misconfiguration(ClientError({"Error": {}}, "GetItem")) is None
