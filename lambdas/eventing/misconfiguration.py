"""Configuration errors: a call fails for every message until somebody corrects the stage."""

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
"""Error codes that blame the account, its permissions, credentials, keys or resources.

In lower case, and without the suffix that some services add. The codes that all services share:
https://docs.aws.amazon.com/IAM/latest/UserGuide/common-errors.html
"""
_REFUSED_IF = {
    "messagerejected": "is not verified",
    "invalidrequest": "marked for deletion",
}
"""Codes that mean several things, and the words that make them a configuration error.

https://docs.aws.amazon.com/ses/latest/dg/troubleshoot-error-messages.html
https://docs.aws.amazon.com/secretsmanager/latest/userguide/manage_delete-secret.html
"""
_PASSING_IF = {
    "invalidsignature": "expired",
    "signaturedoesnotmatch": "expired",
}
"""Codes of configuration errors, and the words that make them pass by themselves.

A request that was signed before Lambda froze the function may be sent long after, with credentials
that have expired meanwhile; the next delivery signs anew:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html
"""
_INCOMPLETE = (NoCredentialsError, PartialCredentialsError, NoRegionError)


class Misconfigured(RuntimeError):
    """The stage's configuration is wrong, not the message; says what was refused, and by whom.

    Every retry fails until somebody corrects the configuration. So a consumer parks the message at
    once: see docs/decisions/0034-configuration-errors-are-parked-at-once.md.
    """


def misconfiguration(error: BaseException) -> str | None:
    """What `error`, or what caused it, says about the configuration; None if it blames none.

    The last answer of AWS decides: one that was handled before is no cause.
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
    """Whether an error code of AWS, with its text, is a configuration error."""
    # Some services put a namespace in front: AWS.SimpleQueueService.NonExistentQueue.
    name = re.split(r"[.#]", re.sub(r"kms\.(kms)?", "kms", code.lower()))[-1]
    name = re.sub(r"(exception|error|fault)$", "", name)
    if name in _REFUSED_IF:
        return _REFUSED_IF[name] in text
    passes = name in _PASSING_IF and _PASSING_IF[name] in text
    return bool(_REFUSED.fullmatch(name)) and not passes
