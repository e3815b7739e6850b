"""JSON Web Tokens: issuers that sign them, and API Gateway's authorizer that checks them."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import requests
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, RSAKey
from moto.cognitoidp.models import cognitoidp_backends

# API Gateway takes RSA signatures only:
# https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-jwt-authorizer.html
_ALGORITHMS = ["RS256", "RS384", "RS512"]
_COGNITO = re.compile(r"https://cognito-idp\.([\w-]+)\.amazonaws\.com/([\w-]+)", re.ASCII)
_LIFETIME_S = 3600


class Unauthorized(Exception):
    """A request without a valid token; the message goes into the www-authenticate header."""


class Forbidden(Exception):
    """A valid token that has none of the scopes that the route asks for."""


class Issuer:
    """A signer of tokens: one of moto's user pools, or a key that is generated."""

    def __init__(self, url: str, account: str) -> None:
        self.url = url
        pool = _COGNITO.fullmatch(url)
        if pool is None:
            self._key = RSAKey.generate_key(2048, {"kid": "rehearsal", "use": "sig"})
            self.key_set = KeySet([self._key])
            return
        region, identifier = pool.groups()
        self._key = cognitoidp_backends[account][region].user_pools[identifier].json_web_key
        answer = requests.get(f"{url}/.well-known/jwks.json", timeout=5)
        self.key_set = KeySet.import_key_set(answer.json())

    def sign(self, claims: Mapping[str, Any]) -> str:
        """Returns a token with these claims."""
        (key,) = self.key_set.keys
        return jwt.encode({"alg": "RS256", "kid": key.kid}, dict(claims), self._key)


@dataclass(frozen=True)
class Identity:
    """What an authorizer passes on to the integration."""

    claims: dict[str, Any]
    scopes: list[str] | None

    def context(self) -> dict[str, Any]:
        """Returns ``requestContext.authorizer`` of the event: each claim is a string there.

        That of a list has brackets around it, and spaces between its values:
        https://github.com/aws-solutions-library-samples/guidance-for-claude-code-with-amazon-bedrock/issues/802
        """
        return {
            "jwt": {
                "claims": {name: _text(value) for name, value in self.claims.items()},
                "scopes": self.scopes,
            }
        }


class JwtAuthorizer:
    """A JWT authorizer of an HTTP API.

    Rules: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-jwt-authorizer.html
    """

    def __init__(
        self,
        name: str,
        issuer: Issuer,
        audience: list[str],
        identity_source: list[str],
        now: Callable[[], float],
    ) -> None:
        """``identity_source`` names headers and query parameters, as CloudFormation does."""
        self.name = name
        self.issuer = issuer
        self.audience = audience
        self._sources = identity_source
        self._now = now
        self._verify = lru_cache(1024)(self._verified)

    def authorize(
        self, headers: Mapping[str, str], query: Mapping[str, str], scopes: list[str]
    ) -> Identity:
        """Checks the token of a request for a route that asks for one of ``scopes``.

        Raises Unauthorized or Forbidden.
        """
        token = self._token(headers, query)
        if token is None:
            raise Unauthorized("")
        claims = self._verify(token)
        self._check(claims)
        granted = _scopes(claims)
        if scopes and not set(scopes) & set(granted):
            raise Forbidden("the token does not have valid scopes")
        return Identity(claims, granted if scopes else None)

    def token(self, subject: str, now: float, claims: Mapping[str, Any]) -> str:
        """Returns an access token that this authorizer accepts, unless ``claims`` say otherwise.

        A claim that is None is left out.
        """
        all_claims = {
            "sub": subject,
            "iss": self.issuer.url,
            "client_id": self.audience[0] if self.audience else "client",
            "token_use": "access",
            "username": subject,
            "iat": int(now),
            "auth_time": int(now),
            "exp": int(now) + _LIFETIME_S,
            **claims,
        }
        return self.issuer.sign({k: v for k, v in all_claims.items() if v is not None})

    def _token(self, headers: Mapping[str, str], query: Mapping[str, str]) -> str | None:
        for source in self._sources:
            kind, _, name = source.removeprefix("$request.").partition(".")
            value = headers.get(name.lower()) if kind == "header" else query.get(name)
            if value:
                scheme, _, rest = value.partition(" ")
                return rest.strip() if rest and scheme.lower() == "bearer" else value
        return None

    def _verified(self, token: str) -> dict[str, Any]:
        try:
            decoded = jwt.decode(token, self.issuer.key_set, algorithms=_ALGORITHMS)
        except (JoseError, ValueError) as error:
            raise Unauthorized(f"the token is not valid: {error}") from None
        if not decoded.header.get("kid"):
            raise Unauthorized("the token does not name a key")
        return decoded.claims

    def _check(self, claims: dict[str, Any]) -> None:
        if claims.get("iss") != self.issuer.url:
            raise Unauthorized("the token does not have a valid issuer")
        # client_id counts only where there is no aud.
        audience = claims.get("aud", claims.get("client_id"))
        named = audience if isinstance(audience, list) else [audience]
        if not set(named) & set(self.audience):
            raise Unauthorized("the token does not have a valid audience")
        now = self._now()
        times = {name: claims.get(name, now) for name in ("exp", "nbf", "iat")}
        if any(isinstance(t, bool) or not isinstance(t, int | float) for t in times.values()):
            raise Unauthorized("the token has a time that is no number")
        if "exp" not in claims or times["exp"] <= now:
            raise Unauthorized("the token has expired")
        if times["nbf"] > now or times["iat"] > now:
            raise Unauthorized("the token is not valid yet")


def _scopes(claims: Mapping[str, Any]) -> list[str]:
    value = claims.get("scope", claims.get("scp", []))
    return value.split() if isinstance(value, str) else list(value)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return f"[{' '.join(map(_text, value))}]"
    return json.dumps(value)
