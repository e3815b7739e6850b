"""Stripe's host beside the payments context, without a rehearsal."""

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import pytest

from cdk_rehearsal import Request, Response
from lambdas.eventing import https
from tools.demo.stripe_host import NAME, StripeHost

KEY = "sk_test_1"


@dataclass
class _World:
    """The part of a rehearsal that the host uses."""

    slept: list[float] = field(default_factory=list)
    sent: list[Any] = field(default_factory=list)
    resources: tuple[Any, ...] = ()

    @property
    def web(self) -> Any:
        return SimpleNamespace(host=lambda *_, **__: SimpleNamespace(name=NAME))

    @property
    def scheduler(self) -> Any:
        return SimpleNamespace(sleep=self.slept.append)

    def client(self, _: str) -> Any:
        return SimpleNamespace(get_secret_value=lambda **_: {"SecretString": KEY})

    def physical_id(self, path: str) -> str:
        return path

    def spawn(self, _: Callable[..., Any], event: Any, **__: Any) -> None:
        self.sent.append(event)


@dataclass
class Stripe:
    """The host, and the requests to it."""

    host: StripeHost
    requests: list[Request] = field(default_factory=list)
    raises: list[Exception] = field(default_factory=list)
    """Errors of the connection, before the host gets the next requests."""
    patience: list[float] = field(default_factory=list)
    """The seconds that each call may take."""
    meanwhile: dict[str, Callable[[], object]] = field(default_factory=dict)
    """What others do before the host gets the next request with this end of its path."""

    @classmethod
    def open(cls, monkeypatch: pytest.MonkeyPatch) -> "Stripe":
        """Connects the client with a new host."""
        stripe = cls(StripeHost(_World()))  # type: ignore[arg-type]
        monkeypatch.setattr(https, "request", stripe._request)
        return stripe

    def _request(
        self, method: str, target: str, *, host: str, body: bytes, headers: Any, **_: Any
    ) -> https.HttpAnswer:
        assert host == NAME
        request = Request(method, target, dict(headers), body, "192.31.196.7", 443, True, "test")
        self.requests.append(request)
        if self.raises:
            raise self.raises.pop(0)
        if act := self.meanwhile.pop(target.rpartition("/")[2], None):
            act()
        status, answered, content = self.host.respond(request)
        return https.HttpAnswer(
            status, answered, content.encode() if isinstance(content, str) else content
        )

    def call(self, method: str, path: str, form: dict[str, str] | None = None) -> Response:
        """Sends a request of another program, such as the dashboard."""
        headers = {"authorization": f"Bearer {KEY}", "stripe-version": "2026-06-24.dahlia"}
        body = urlencode(form or {}).encode()
        return self.host.respond(Request(method, path, headers, body, "", 443, True, "test"))
