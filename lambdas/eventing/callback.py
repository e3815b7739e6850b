"""Call-backs: requests that a partner signs instead of bearing a token."""

from base64 import b64decode
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from http import HTTPStatus
from typing import Any

from lambdas.eventing import telemetry
from lambdas.eventing.event import Cause
from lambdas.eventing.http import Endpoint, Problem, Request, Response, request_of
from lambdas.eventing.secret import secret
from lambdas.eventing.settings import Settings
from lambdas.eventing.signature import HEADER, Forged, verify


class CallbackSettings(Settings, frozen=True, kw_only=True):
    """What the kernel itself needs in a call-back."""

    callback_secret_arn: str
    """The secret holds one key, or two with a blank between them while keys are changed."""


class Callback(Endpoint):
    """The Lambda entry of a route for one partner, who shares a secret with the shop."""

    def _admit(self, event: dict[str, Any], cause: Cause) -> Request:
        """The request, once its signature is checked. Raises Problem 401."""
        sent = event.get("body") or ""
        body = b64decode(sent) if event.get("isBase64Encoded") else sent.encode()
        try:
            verify(
                secret(_settings().callback_secret_arn).split(),
                body,
                event.get("headers", {}).get(HEADER, ""),
                now=datetime.now(UTC),
            )
        except Forged as error:
            telemetry.count("ForgedCallbacks")
            raise Problem(HTTPStatus.UNAUTHORIZED, "forged", str(error)) from error
        return request_of(event, cause, caller="partner")


def callback(answer: Callable[[Request], Response]) -> Callback:
    """Makes a function of a request the handler of a route whose callers sign."""
    return Callback(answer)


@cache
def _settings() -> CallbackSettings:
    return CallbackSettings.from_environ()
