"""Callbacks: requests that a partner signs, instead of sending a token."""

from base64 import b64decode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cache, partial
from http import HTTPStatus
from typing import Any, ClassVar, TypeVar, Unpack

from lambdas.eventing import signature, telemetry
from lambdas.eventing.event import Cause
from lambdas.eventing.http import Endpoint, Problem, Request, Terms, request_of
from lambdas.eventing.secret import secret
from lambdas.eventing.settings import Settings
from lambdas.eventing.signature import OWN, Scheme, SignedRequest

A = TypeVar("A")
B = TypeVar("B")


class CallbackSettings(Settings, frozen=True, kw_only=True):
    """The settings that the kernel reads in a callback."""

    callback_secret_arn: str
    """The secret contains one key, or two with a blank between them while the key is changed."""


class Forged(Problem, status=HTTPStatus.UNAUTHORIZED):
    """The request is not signed, or its signature is not valid."""


class Callback(Endpoint):
    """The Lambda entry of a route for one partner, who shares a secret with the shop."""

    decorator: ClassVar[str] = "callback"

    def __init__(self, function: Callable[..., Any], *, scheme: Scheme, **terms: Any) -> None:
        super().__init__(function, **terms)
        self.scheme = scheme
        """How the partner signs."""

    @property
    def refusals(self) -> tuple[type[Problem], ...]:
        """All problems that the partner may get."""
        return (Forged, *super().refusals)

    def _admit(self, event: dict[str, Any], cause: Cause) -> Request:
        """Returns the request after a check of its signature. Raises Problem 401."""
        sent = event.get("body") or ""
        signed = SignedRequest(
            method=event["requestContext"]["http"]["method"],
            path=event["rawPath"],
            headers=event.get("headers", {}),
            body=b64decode(sent) if event.get("isBase64Encoded") else sent.encode(),
        )
        try:
            self.scheme.verify(_keys(), signed, now=datetime.now(UTC))
        except signature.Forged as error:
            telemetry.count("ForgedCallbacks")
            raise Forged(str(error)) from error
        return request_of(event, cause, caller="partner")


def callback(
    *, body: type[B], answers: type[A], scheme: Scheme = OWN, **terms: Unpack[Terms]
) -> Callable[[Callable[[Request, B], A]], Callback]:
    """Makes a function of a request and its body the handler of a route whose callers sign."""
    return partial(Callback, body=body, answers=answers, scheme=scheme, **terms)


def _keys() -> Iterator[str]:
    """Yields the valid keys. Reads the secret when the first one is needed, if it is not cached.

    So a request costs a call of Secrets Manager only if its signature has the right form, and then
    once in `KEPT_S` for each execution environment, however many requests there are.
    """
    yield from secret(_settings().callback_secret_arn).split()


@cache
def _settings() -> CallbackSettings:
    return CallbackSettings.from_environ()
