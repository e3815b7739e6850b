"""Limits that the services check: rates of an account, and requests from outside of the process.

The errors are those of requests, so that the retries of the caller's SDK follow.
"""

import json
from collections.abc import Callable, Mapping
from copy import copy
from functools import wraps
from typing import Any

from moto.cognitoidp.responses import CognitoIdpResponse
from moto.core.errors import COMMON_ERROR_CODES
from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult, BaseResponse
from moto.core.utils import camelcase_to_underscores
from moto.events.responses import EventsHandler
from moto.scheduler.responses import EventBridgeSchedulerResponse
from moto.sesv2.responses import SESV2Response

from cdk_rehearsal.limits import TABLE
from cdk_rehearsal.rates import Rates
from cdk_rehearsal.sandbox.patching import Patches
from cdk_rehearsal.services.call_limits import exceeded

_HANDLERS: Mapping[str, type[BaseResponse]] = {
    "cognito-idp": CognitoIdpResponse,
    "events": EventsHandler,
    "scheduler": EventBridgeSchedulerResponse,
    "ses": SESV2Response,
}
"""What answers the calls of a service whose operations have rates."""


class _Refused(ServiceException):
    """The answer to a request over a limit."""


def install(rates: Rates, patches: Patches) -> None:
    """Lets the services refuse what is over a limit."""
    patches.set(BaseResponse, "call_action", _checked(BaseResponse.call_action))
    for code in {row.error for row in TABLE.values()}:
        patches.append(COMMON_ERROR_CODES, code)  # or else moto warns that it is in no model
    for limit, row in TABLE.items():
        handler = _HANDLERS.get(limit.partition(".")[0])
        for operation in row.of:
            name = camelcase_to_underscores(operation)
            patches.set(handler, name, _limited(rates, limit, getattr(handler, name)))


def _limited(rates: Rates, limit: str, method: Callable[[Any], Any]) -> Callable[[Any], Any]:
    row = TABLE[limit]

    @wraps(method)
    def call(response: Any) -> Any:
        amount = _recipients(response) if limit.startswith("ses.") else 1
        if not rates.take(limit, amount):
            raise _Refused(row.error, row.message or "Rate exceeded")
        return method(response)

    return call


def _checked(call_action: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Checks requests of other processes, whose calls no client of this process makes."""

    @wraps(call_action)
    def call(response: Any) -> Any:
        request = response.normalized_request
        if request.from_wsgi_server and (operation := response._get_action()):
            parsed = copy(response)  # which parses as botocore's models say
            parsed.parse_parameters(request)
            if found := exceeded(response.boto3_service_name, operation, parsed.params):
                status, headers, body = response.serialized(ActionResult(_Refused(*found)))
                return status, headers | {"status": str(status)}, body
        return call_action(response)

    return call


def _recipients(response: Any) -> int:
    """Returns the number of recipients of an e-mail: each counts.

    https://docs.aws.amazon.com/ses/latest/dg/quotas.html
    """
    destination = json.loads(response.body).get("Destination") or {}
    return max(1, sum(map(len, destination.values())))
