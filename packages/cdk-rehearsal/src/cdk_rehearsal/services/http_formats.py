"""HTTP APIs of API Gateway: cross-origin requests, signed requests, and payload format 1.0."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from cdk_rehearsal.limits import LIMITS
from cdk_rehearsal.services.tokens import Forbidden

_CORS_HEADER = "access-control-"
_SIGNATURE = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<date>\d{8})/(?P<region>[^/]+)/execute-api/"
    r"aws4_request, ?SignedHeaders=(?P<headers>[^,]+), ?Signature=(?P<signature>[0-9a-f]{64})"
)
# Handlers have these credentials, and so do programs outside that use them.
_KEY, _SECRET = "rehearsal", "rehearsal"


class Cors:
    """The answers of an API to browsers on pages of other origins.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-cors.html
    """

    def __init__(self, configuration: Mapping[str, Any]) -> None:
        self._configuration = configuration

    @staticmethod
    def is_preflight(method: str, headers: Mapping[str, str]) -> bool:
        """Whether the API answers a request itself, without any route."""
        asks = headers.keys() >= {"origin", "access-control-request-method"}
        return method == "OPTIONS" and asks

    def headers(self, origin: str | None, *, preflight: bool) -> dict[str, str]:
        """Returns the headers of an answer; none to an origin that is not allowed."""
        of = self._configuration
        allowed = of.get("AllowOrigins", [])
        if origin is None or not self._allows(origin, allowed):
            return {}
        found = {"allow-origin": "*" if "*" in allowed else origin}
        if of.get("AllowCredentials") in (True, "true"):
            found["allow-credentials"] = "true"
        lists = {"allow-methods": "AllowMethods", "allow-headers": "AllowHeaders"}
        for name, key in (lists if preflight else {"expose-headers": "ExposeHeaders"}).items():
            if of.get(key):
                found[name] = ",".join(of[key])
        if preflight and "MaxAge" in of:
            found["max-age"] = str(of["MaxAge"])
        return {f"{_CORS_HEADER}{name}": value for name, value in found.items()}

    @staticmethod
    def without(headers: Mapping[str, str]) -> dict[str, str]:
        """Returns headers without those that the API sets itself, whatever a function says."""
        return {k: v for k, v in headers.items() if not k.startswith(_CORS_HEADER)}

    @staticmethod
    def _allows(origin: str, allowed: list[str]) -> bool:
        scheme = origin.partition("://")[0]
        return bool({"*", origin, f"{scheme}://*"} & set(allowed))


def caller_of(
    method: str, url: str, headers: Mapping[str, str], body: bytes, region: str, now: float
) -> str:
    """Returns the access key of a request that is signed for the API; Forbidden if it is not.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-access-control-iam.html
    """
    found = _SIGNATURE.fullmatch(headers.get("authorization", ""))
    if found is None or "x-amz-date" not in headers:
        raise Forbidden("the request is not signed with AWS Signature Version 4")
    signed_at = datetime.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    if (
        abs(signed_at.timestamp() - now) > LIMITS["iam.signature_age_s"]
        or found["region"] != region
    ):
        raise Forbidden("the signature is of another time or region")
    signer = SigV4Auth(Credentials(_KEY, _SECRET), "execute-api", region)
    names = found["headers"].split(";")
    request = AWSRequest(method, url, {name: headers.get(name, "") for name in names}, body)
    request.context["timestamp"] = headers["x-amz-date"]
    canonical = signer.canonical_request(request)
    expected = signer.signature(signer.string_to_sign(request, canonical), request)
    if found["key"] != _KEY or found["signature"] != expected:
        raise Forbidden("the signature is not that of a known key")
    return _KEY


def iam_context(key: str, account: str) -> dict[str, Any]:
    """Returns ``requestContext.authorizer`` of a signed request."""
    return {
        "iam": {
            "accessKey": key,
            "accountId": account,
            "callerId": key,
            "cognitoIdentity": None,
            "principalOrgId": None,
            "userArn": f"arn:aws:iam::{account}:user/{key}",
            "userId": key,
        }
    }


def as_format_1(event: dict[str, Any]) -> dict[str, Any]:
    """Returns an event of format 2.0 in format 1.0.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
    """
    context, http = event["requestContext"], event["requestContext"]["http"]
    key = event["routeKey"].partition(" ")[2] or event["routeKey"]
    headers = dict(event["headers"])
    if event.get("cookies"):
        headers["cookie"] = "; ".join(event["cookies"])
    query: dict[str, list[str]] = {}
    for name, value in parse_qsl(event["rawQueryString"], keep_blank_values=True):
        query.setdefault(name, []).append(value)
    authorizer = context.get("authorizer", {})
    passed = authorizer.get("jwt") or authorizer.get("lambda")
    identity = dict.fromkeys(
        (
            *("accessKey", "accountId", "caller", "cognitoAuthenticationProvider"),
            *("cognitoAuthenticationType", "cognitoIdentityId", "cognitoIdentityPoolId"),
            *("principalOrgId", "user", "userArn"),
        )
    )
    if iam := authorizer.get("iam"):
        of_iam = ("accessKey", "accountId", "userArn")
        identity |= {name: iam[name] for name in of_iam}
        identity |= {"caller": iam["callerId"], "user": iam["userId"]}
    return {
        "version": "1.0",
        "resource": key,
        "path": event["rawPath"],
        "httpMethod": http["method"],
        "headers": headers,
        "multiValueHeaders": {name: value.split(",") for name, value in headers.items()},
        "queryStringParameters": {name: values[-1] for name, values in query.items()} or None,
        "multiValueQueryStringParameters": query or None,
        "requestContext": {
            "accountId": context["accountId"],
            "apiId": context["apiId"],
            **({"authorizer": passed} if passed else {}),
            "domainName": context["domainName"],
            "domainPrefix": context["domainPrefix"],
            "extendedRequestId": context["requestId"],
            "httpMethod": http["method"],
            "identity": {
                **identity,
                "sourceIp": http["sourceIp"],
                "userAgent": http["userAgent"],
            },
            "path": http["path"],
            "protocol": http["protocol"],
            "requestId": context["requestId"],
            "requestTime": context["time"],
            "requestTimeEpoch": context["timeEpoch"],
            "resourceId": event["routeKey"],
            "resourcePath": key,
            "stage": context["stage"],
        },
        "pathParameters": event.get("pathParameters"),
        "stageVariables": event.get("stageVariables"),
        "body": event.get("body"),
        "isBase64Encoded": event["isBase64Encoded"],
    }


def from_format_1(answer: Any) -> Any:
    """Returns an answer of format 1.0 in format 2.0; None if it has no status code."""
    if not isinstance(answer, dict) or "statusCode" not in answer:
        return None
    headers = dict(answer.get("headers") or {})
    cookies: list[str] = []
    for name, values in (answer.get("multiValueHeaders") or {}).items():
        if name.lower() == "set-cookie":
            cookies += values
        else:
            headers[name] = ",".join(map(str, values))
    return {**answer, "headers": headers, "cookies": cookies}
