"""HTTP APIs and function URLs: cross-origin and signed requests, events and answers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, unquote

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from cdk_rehearsal.core import Core
from cdk_rehearsal.limits import LIMITS
from cdk_rehearsal.policies import Principal
from cdk_rehearsal.services.apis import SOURCE_IP, Endpoint, HttpRequest, HttpResponse
from cdk_rehearsal.services.tokens import Forbidden

_CORS_HEADER = "access-control-"
_SIGNATURE = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<date>\d{8})/(?P<region>[^/]+)/"
    r"[^/]+/aws4_request, ?SignedHeaders=(?P<headers>[^,]+), "
    r"?Signature=(?P<signature>[0-9a-f]{64})"
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


def signer_of(
    core: Core, endpoint: Endpoint[Any], request: HttpRequest, service: str
) -> Principal | None:
    """Returns who has signed a request: a role, or None for a program that may do everything.

    Raises Forbidden if it is not signed for the service.
    """
    if request.signer is not None:
        return request.signer
    prefix = "" if endpoint.stage == "$default" else f"/{endpoint.stage}"
    query = f"?{request.query}" if request.query else ""
    check_signature(
        request.method,
        f"https://{endpoint.domain}{prefix}{request.path}{query}",
        request.headers,
        request.content,
        core.region,
        core.scheduler.now(),
        service,
    )
    return core.principal()


def check_signature(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    region: str,
    now: float,
    service: str,
) -> None:
    """Raises Forbidden if a request is not signed for a service.

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
    signer = SigV4Auth(Credentials(_KEY, _SECRET), service, region)
    names = found["headers"].split(";")
    request = AWSRequest(method, url, {name: headers.get(name, "") for name in names}, body)
    request.context["timestamp"] = headers["x-amz-date"]
    canonical = signer.canonical_request(request)
    expected = signer.signature(signer.string_to_sign(request, canonical), request)
    if found["key"] != _KEY or found["signature"] != expected:
        raise Forbidden("the signature is not that of a known key")


def iam_context(signer: Principal | None, account: str) -> dict[str, Any]:
    """Returns ``requestContext.authorizer`` of a signed request."""
    arn = signer.session if signer else f"arn:aws:iam::{account}:user/{_KEY}"
    identity = arn.partition("/")[2].replace("/", ":")
    return {
        "iam": {
            "accessKey": _KEY,
            "accountId": account,
            "callerId": identity,
            "cognitoIdentity": None,
            "principalOrgId": None,
            "userArn": arn,
            "userId": identity,
        }
    }


def as_format_2(
    core: Core,
    endpoint: Endpoint[Any],
    request: HttpRequest,
    *,
    key: str = "$default",
    parameters: Mapping[str, str] | None = None,
    variables: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Returns the event for a function in format 2.0; ``key`` is that of the route.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
    https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html
    """
    now = core.scheduler.now()
    path = unquote(request.path)
    if endpoint.stage != "$default":
        path = f"/{endpoint.stage}{path}"
    context = {
        "accountId": core.account,
        "apiId": endpoint.id,
        "domainName": endpoint.domain,
        "domainPrefix": endpoint.id,
        "http": {
            "method": request.method,
            "path": path,
            "protocol": "HTTP/1.1",
            "sourceIp": SOURCE_IP,
            "userAgent": request.headers["user-agent"],
        },
        "requestId": core.new_id(),
        "routeKey": key,
        "stage": endpoint.stage,
        "time": datetime.fromtimestamp(now, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000"),
        "timeEpoch": int(now * 1000),
    }
    event = {
        "version": "2.0",
        "routeKey": key,
        "rawPath": path,
        "rawQueryString": request.query,
        "cookies": request.cookies or None,
        "headers": request.headers,
        "queryStringParameters": request.parameters or None,
        "requestContext": context,
        "body": request.body,
        "pathParameters": parameters or None,
        "isBase64Encoded": request.is_base64,
        "stageVariables": variables or None,
    }
    return {name: value for name, value in event.items() if value is not None}


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


def interpreted(
    answer: Any, version: str = "2.0", content_type: str = "text/plain;charset=UTF-8"
) -> HttpResponse | None:
    """Returns the response that a function's answer stands for; None if it is malformed.

    ``content_type`` is that of an answer with a status code that states none. Format 1.0 needs a
    status code; format 2.0 takes anything without one for a JSON body:
    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
    """
    if version == "1.0":
        answer = from_format_1(answer)
        if answer is None:
            return None
    if not isinstance(answer, dict) or "statusCode" not in answer:
        text = answer if isinstance(answer, str) else json.dumps(answer, separators=(",", ":"))
        return HttpResponse(200, {"content-type": "application/json"}, text)
    status = str(answer["statusCode"])
    headers = answer.get("headers") or {}
    body = answer.get("body")
    cookies = answer.get("cookies") or []
    well_formed = (
        re.fullmatch("[1-5][0-9]{2}", status)
        and isinstance(headers, dict)
        and isinstance(cookies, list)
        and (body is None or isinstance(body, str))
        and not any(isinstance(value, dict | list) for value in headers.values())
    )
    if not well_formed:
        return None
    texts = {name.lower(): _header(value) for name, value in headers.items()}
    return HttpResponse(
        int(status),
        {"content-type": content_type, **texts},
        body or "",
        cookies,
        bool(answer.get("isBase64Encoded")),
    )


def _header(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
