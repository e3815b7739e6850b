"""Configuration errors: calls that fail for every message until the configuration is fixed."""

import re

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
)

_REFUSED = re.compile(
    r"""
      (kms)?accessdenied | (not|un)?authori[sz](ation|ed).* | forbidden
    | (kms)?optinrequired | notsignedup | pendingverification | accountproblem | allaccessdisabled
    | unrecognizedclient | invalidclienttokenid | invalidaccesskeyid
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
_PASSING_IF = {
    "invalidsignature": "expired",
    "signaturedoesnotmatch": "expired",
}
"""Codes of configuration errors, with the words in the message that make each transient.

Lambda may freeze a function after it signed a request. The request is then sent with expired
credentials, and the next delivery signs again:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html
"""
_INCOMPLETE = (NoCredentialsError, PartialCredentialsError, NoRegionError)


class Misconfigured(RuntimeError):
    """The stage's configuration is wrong. The text names the refused call and the error code.

    Every retry fails until the configuration is fixed. So a consumer parks the message at once: see
    docs/decisions/0034-configuration-errors-are-parked-at-once.md.
    """


def misconfiguration(error: BaseException) -> str | None:
    """Returns the text of the configuration error among `error` and its causes, or None.

    The last answer of AWS decides: an earlier refusal that the handler dealt with does not count.
    """
    cause: BaseException | None = error
    while cause is not None:
        match cause:
            case Misconfigured():
                return str(cause)
            case ClientError():
                code = cause.response["Error"].get("Code", "")
                said = cause.response["Error"].get("Message", "")
                if not blames_configuration(code, said):
                    return None
                return f"{cause.operation_name} was refused with {code}: {said}"
            case BotoCoreError():
                return str(cause) if isinstance(cause, _INCOMPLETE) else None
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return None


def blames_configuration(code: str, text: str = "") -> bool:
    """Returns whether an AWS error with this code and text is a configuration error."""
    # Some codes have a namespace: AWS.SimpleQueueService.NonExistentQueue.
    name = re.split(r"[.#]", re.sub(r"kms\.(kms)?", "kms", code.lower()))[-1]
    name = re.sub(r"(exception|error|fault)$", "", name)
    if name in _REFUSED_IF:
        return _REFUSED_IF[name] in text
    passes = name in _PASSING_IF and _PASSING_IF[name] in text
    return bool(_REFUSED.fullmatch(name)) and not passes
