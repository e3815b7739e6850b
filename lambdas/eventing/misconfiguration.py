"""Configuration errors: calls that fail for every message until the configuration is corrected."""

import re

from botocore.exceptions import (
    ClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
)

_REFUSED = re.compile(
    r"""
      (kms)?accessdenied | (not|un)?authori[sz](ation|ed).* | forbidden
    | (kms)?optinrequired | notsignedup | pendingverification | accountproblem | allaccessdisabled
    | unrecognizedclient | invalidclienttokenid | invalidaccesskeyid | expiredtoken
    | missingauthenticationtoken | incompletesignature | invalidsignature | signaturedoesnotmatch
    | invalidsecurity
    | kms(disabled|invalidstate|invalidkeyusage) | (kms)?notfound | decryptionfailure
    | accountsuspended | (account|configurationset)?sendingpaused
    | mailfromdomainnotverified | configurationsetdoesnotexist
    | resourcenotfound | (queue|statemachine)doesnotexist | nonexistentqueue | nosuchbucket
    """,
    re.VERBOSE,
)
"""Error codes that point to the account, its permissions, credentials, keys or resources.

The codes are in lower case, without the suffixes Exception, Error and Fault. For the codes that all
services share, see https://docs.aws.amazon.com/IAM/latest/UserGuide/common-errors.html
"""
_REFUSED_IF = {
    "messagerejected": "is not verified",
    "invalidrequest": "marked for deletion",
}
"""Ambiguous codes, with the words in the message that make each a configuration error.

https://docs.aws.amazon.com/ses/latest/dg/troubleshoot-error-messages.html
https://docs.aws.amazon.com/secretsmanager/latest/userguide/manage_delete-secret.html
"""
_INCOMPLETE = (NoCredentialsError, PartialCredentialsError, NoRegionError)


class Misconfigured(RuntimeError):
    """The stage's configuration is wrong. The text names the refused call and the error code.

    Every retry fails until somebody corrects the configuration. So a consumer parks the message at
    once: see docs/decisions/0034-configuration-errors-are-parked-at-once.md.
    """


def misconfiguration(error: BaseException) -> str | None:
    """Return the text of the configuration error among `error` and its causes, or None."""
    cause: BaseException | None = error
    while cause is not None:
        match cause:
            case Misconfigured():
                return str(cause)
            case ClientError() if blames_configuration(
                code := cause.response["Error"].get("Code", ""),
                text := cause.response["Error"].get("Message", ""),
            ):
                return f"{cause.operation_name} was refused with {code}: {text}"
        if isinstance(cause, _INCOMPLETE):
            return str(cause)
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return None


def blames_configuration(code: str, text: str = "") -> bool:
    """Whether an AWS error with this code and text is a configuration error."""
    # Some codes have a namespace: AWS.SimpleQueueService.NonExistentQueue.
    name = re.split(r"[.#]", code.lower().replace("kms.", "kms"))[-1]
    name = re.sub(r"(exception|error|fault)$", "", name)
    words = _REFUSED_IF.get(name)
    return bool(_REFUSED.fullmatch(name)) or (words is not None and words in text)
