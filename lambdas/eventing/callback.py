"""Call-backs: requests that a partner signs instead of bearing a token."""

from base64 import b64decode
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache, partial
from http import HTTPStatus
from typing import Any, TypeVar, Unpack

from lambdas.eventing import signature, telemetry
from lambdas.eventing.event import Cause
from lambdas.eventing.http import Contract, Endpoint, Problem, Request, Terms, request_of
from lambdas.eventing.secret import secret
from lambdas.eventing.settings import Settings

A = TypeVar("A")
B = TypeVar("B")


class CallbackSettings(Settings, frozen=True, kw_only=True):
    """What the kernel itself needs in a call-back."""

    callback_secret_arn: str
    """The secret holds one key, or two with a blank between them while keys are changed."""


class Forged(Problem, status=HTTPStatus.UNAUTHORIZED):
    """The request is not signed, or its signature does not hold."""


class Callback(Endpoint):
    """The Lambda entry of a route for one partner, who shares a secret with the shop."""

    @property
    def refusals(self) -> tuple[type[Problem], ...]:
        """All problems that the partner may meet."""
        return (Forged, *super().refusals)

    def _admit(self, event: dict[str, Any], cause: Cause) -> Request:
        """The request, once its signature is checked. Raises Problem 401."""
        sent = event.get("body") or ""
        body = b64decode(sent) if event.get("isBase64Encoded") else sent.encode()
        try:
            signature.verify(
                secret(_settings().callback_secret_arn).split(),
                body,
                event.get("headers", {}).get(signature.HEADER, ""),
                now=datetime.now(UTC),
            )
        except signature.Forged as error:
            telemetry.count("ForgedCallbacks")
            raise Forged(str(error)) from error
        return request_of(event, cause, caller="partner")


def callback(
    *, body: type[B], answers: type[A], **terms: Unpack[Terms]
) -> Callable[[Callable[[Request, B], A]], Callback]:
    """Makes a function of a request and its body the handler of a route whose callers sign."""
    return partial(Callback, contract=Contract(body=body, answers=answers, **terms))


@cache
def _settings() -> CallbackSettings:
    return CallbackSettings.from_environ()
