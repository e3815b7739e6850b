"""The front of an HTTP API routes, authorizes, calls and answers as API Gateway documents."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from joserfc import jwt
from joserfc.jwk import RSAKey

from cdk_rehearsal import (
    FAULTS,
    Arrival,
    Fault,
    Rehearsal,
    RehearsalError,
    UnsupportedTemplateError,
    check,
)
from cdk_rehearsal.latency import NONE
from rehearsal.cloud import Cloud, arn, ref, write_assembly
from rehearsal.conftest import Deploy, Rehearse

OPENER = build_opener(ProxyHandler({}))
ECHO = "def handler(event, context): return event"


def sub(text: str) -> dict[str, str]:
    return {"Fn::Sub": text}


def api(template: Cloud, stage: str = "$default", **properties: Any) -> None:
    """Add an API with a stage."""
    template.add("Api", "AWS::ApiGatewayV2::Api", Name="api", ProtocolType="HTTP", **properties)
    template.add(
        "Stage",
        "AWS::ApiGatewayV2::Stage",
        ApiId=ref("Api"),
        StageName=stage,
        AutoDeploy=True,
    )


def pool(template: Cloud) -> None:
    """Add a user pool with a client, and an authorizer."""
    template.add("Pool", "AWS::Cognito::UserPool")
    template.add("Client", "AWS::Cognito::UserPoolClient", UserPoolId=ref("Pool"))
    authorizer(template, "Authorizer", arn("Pool", "ProviderURL"), ref("Client"))


def authorizer(template: Cloud, name: str, issuer: Any, *audience: Any) -> None:
    template.add(
        name,
        "AWS::ApiGatewayV2::Authorizer",
        ApiId=ref("Api"),
        Name=name,
        AuthorizerType="JWT",
        IdentitySource=["$request.header.Authorization"],
        JwtConfiguration={"Issuer": issuer, "Audience": list(audience)},
    )


def route(
    template: Cloud,
    key: str,
    function: str,
    *,
    open_: bool = False,
    permission: str | None = "/*/*",
    timeout_ms: int | None = None,
    **properties: Any,
) -> None:
    """Add a route to a function, by default with the authorizer, and the permission to call it."""
    number = len(template.resources)
    template.add(
        f"Integration{number}",
        "AWS::ApiGatewayV2::Integration",
        ApiId=ref("Api"),
        IntegrationType="AWS_PROXY",
        IntegrationUri=arn(function),
        PayloadFormatVersion="2.0",
        **({"TimeoutInMillis": timeout_ms} if timeout_ms else {}),
    )
    if not open_:
        if template.resources.keys() & {"Api", "Pool"} == {"Api"}:
            pool(template)
        properties = {
            "AuthorizationType": "JWT",
            "AuthorizerId": ref("Authorizer"),
            **properties,
        }
    template.add(
        f"Route{number}",
        "AWS::ApiGatewayV2::Route",
        ApiId=ref("Api"),
        RouteKey=key,
        Target=sub(f"integrations/${{Integration{number}}}"),
        **properties,
    )
    if permission is not None:
        template.add(
            f"Permission{number}",
            "AWS::Lambda::Permission",
            Action="lambda:InvokeFunction",
            FunctionName=arn(function),
            Principal="apigateway.amazonaws.com",
            SourceArn=sub(
                "arn:aws:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}" + permission
            ),
        )


def echo(template: Cloud, key: str = "ANY /{proxy+}", **options: Any) -> None:
    """An API of one open route whose function answers with its event."""
    api(template)
    template.function("Echo", ECHO)
    route(template, key, "Echo", open_=True, **options)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def throttled(template: Cloud, rehearse: Rehearse, routes: Mapping[str, Any]) -> Rehearsal:
    """An API whose open routes have these limits; None for those of the stage, 1 a second."""
    api(template)
    template.function("Echo", ECHO)
    for key in routes:
        route(template, key, "Echo", open_=True)
    names = [name for name in template.resources if name.startswith("Route")]
    template.resources["Stage"]["DependsOn"] = names
    template.resources["Stage"]["Properties"] |= {
        "DefaultRouteSettings": {"ThrottlingRateLimit": 1, "ThrottlingBurstLimit": 2},
        "RouteSettings": {key: limits for key, limits in routes.items() if limits},
    }
    return rehearse()


def flood(shop: Rehearsal, path: str, count: int) -> int:
    """The number of requests in a moment that are not throttled."""
    answers = [shop.http.request("GET", path) for _ in range(count)]
    refused = [answer for answer in answers if answer.status == 429]
    assert {answer.body for answer in refused} <= {'{"message":"Too Many Requests"}'}
    return count - len(refused)


class TestThrottling:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-throttling.html."""

    def test_each_route_has_a_bucket_of_its_own(self, template: Cloud, rehearse: Rehearse) -> None:
        limits = {"ThrottlingRateLimit": 5, "ThrottlingBurstLimit": 7}
        shop = throttled(template, rehearse, {"GET /a": limits, "GET /b": limits, "GET /c": None})
        assert flood(shop, "/a", 20) == 7
        assert flood(shop, "/b", 20) == 7
        assert flood(shop, "/c", 20) == 2

    def test_a_bucket_is_refilled_at_the_rate_up_to_the_burst(
        self, template: Cloud, rehearse: Rehearse
    ) -> None:
        limits = {"ThrottlingRateLimit": 5, "ThrottlingBurstLimit": 7}
        shop = throttled(template, rehearse, {"GET /a": limits})
        flood(shop, "/a", 20)
        shop.run_for(1)
        assert flood(shop, "/a", 20) == 5
        shop.run_for(3600)
        assert flood(shop, "/a", 20) == 7

    def test_a_route_without_limits_is_not_throttled(
        self, template: Cloud, rehearse: Rehearse
    ) -> None:
        shop = throttled(template, rehearse, {"GET /a": {"DetailedMetricsEnabled": True}})
        assert flood(shop, "/a", 50) == 50

    def test_a_throttled_request_invokes_nothing(self, template: Cloud, rehearse: Rehearse) -> None:
        shop = throttled(template, rehearse, {"GET /a": None})
        flood(shop, "/a", 20)
        assert len(list(shop.meter.of("invocation"))) == 2

    def test_limits_of_a_route_that_does_not_exist_yet_are_refused(
        self, template: Cloud, rehearse: Rehearse
    ) -> None:
        api(template)
        template.function("Echo", ECHO)
        route(template, "GET /a", "Echo", open_=True)
        settings = {"GET /a": {"ThrottlingRateLimit": 1}}
        template.resources["Stage"]["Properties"]["RouteSettings"] = settings
        with pytest.raises(UnsupportedTemplateError, match="RouteSettings name GET /a, which"):
            rehearse()


class TestRoutes:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html."""

    ROUTES = (
        "GET /pets/dog/1",
        "GET /pets/dog/{id}",
        "GET /pets/{proxy+}",
        "ANY /{proxy+}",
        "$default",
    )

    @pytest.mark.parametrize(
        ("method", "path", "chosen"),
        [
            ("GET", "/pets/dog/1", "GET /pets/dog/1"),
            ("GET", "/pets/dog/2", "GET /pets/dog/{id}"),
            ("GET", "/pets/cat/1", "GET /pets/{proxy+}"),
            ("POST", "/pets/dog/1", "ANY /{proxy+}"),
            ("POST", "/test/5", "ANY /{proxy+}"),
            ("GET", "/", "$default"),
        ],
    )
    def test_the_most_specific_route_is_chosen(
        self, template: Cloud, aws: Deploy, method: str, path: str, chosen: str
    ) -> None:
        """A full match, then a greedy variable, then $default."""
        api(template)
        template.function("Echo", ECHO)
        for key in self.ROUTES:
            permission = "/*/$default" if key == "$default" else "/*/*"
            route(template, key, "Echo", open_=True, permission=permission)
        assert aws(shared=True).http.request(method, path).json()["routeKey"] == chosen

    def test_a_method_of_its_own_comes_before_any(self, template: Cloud, aws: Deploy) -> None:
        """ANY is for the methods that the resource has no route for."""
        api(template)
        template.function("Echo", ECHO)
        for key in ("ANY /orders", "POST /orders"):
            route(template, key, "Echo", open_=True)
        http = aws(shared=True).http
        assert http.request("POST", "/orders").json()["routeKey"] == "POST /orders"
        assert http.request("PUT", "/orders").json()["routeKey"] == "ANY /orders"

    @pytest.mark.parametrize("path", ["/order", "/orders/1/lines", "/orders/", "/orders//"])
    def test_what_no_route_takes_is_not_found(
        self, template: Cloud, aws: Deploy, path: str
    ) -> None:
        """Without a $default route."""
        echo(template, "GET /orders/{id}")
        answer = aws(shared=True).http.request("GET", path)
        assert (answer.status, answer.body) == (404, '{"message":"Not Found"}')

    def test_path_variables_are_decoded(self, template: Cloud, aws: Deploy) -> None:
        """Plain ones take a segment, greedy ones all that is left."""
        api(template)
        template.function("Echo", ECHO)
        route(template, "GET /orders/{id}", "Echo", open_=True)
        route(template, "GET /files/{path+}", "Echo", open_=True)
        http = aws(shared=True).http
        assert http.request("GET", "/orders/a%20b").json()["pathParameters"] == {"id": "a b"}
        assert http.request("GET", "/files/x/y/z").json()["pathParameters"] == {"path": "x/y/z"}


class TestEvent:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html."""

    def test_a_request_becomes_an_event_of_format_2(self, template: Cloud, aws: Deploy) -> None:
        """Lower-case names, joined values, cookies apart, the request's own facts."""
        echo(template)
        shop = aws(shared=True)
        event = shop.http.request(
            "post",
            "/a/b?x=1&x=2&y=%26&empty=",
            headers={"X-Many": ["1", "2"], "Cookie": "one=1; two=2", "User-Agent": "test"},
            body={"a": 1},
        ).json()
        api_id = shop.physical_id("Shop/Api")
        host = f"{api_id}.execute-api.{shop.region}.amazonaws.com"
        assert event["headers"].pop("content-length") == "8"
        address = event["headers"].pop("x-forwarded-for")
        assert event["headers"].pop("x-amzn-trace-id").startswith("Root=1-")
        context = event["requestContext"]
        assert context.pop("requestId")
        moment = datetime.strptime(context.pop("time"), "%d/%b/%Y:%H:%M:%S %z")
        assert moment.timestamp() == context.pop("timeEpoch") // 1000
        assert event == {
            "version": "2.0",
            "routeKey": "ANY /{proxy+}",
            "rawPath": "/a/b",
            "rawQueryString": "x=1&x=2&y=%26&empty=",
            "cookies": ["one=1", "two=2"],
            "headers": {
                "content-type": "application/json",
                "host": host,
                "user-agent": "test",
                "x-forwarded-port": "443",
                "x-forwarded-proto": "https",
                "x-many": "1,2",
            },
            "queryStringParameters": {"x": "1,2", "y": "&", "empty": ""},
            "requestContext": {
                "accountId": shop.account,
                "apiId": api_id,
                "domainName": host,
                "domainPrefix": api_id,
                "http": {
                    "method": "POST",
                    "path": "/a/b",
                    "protocol": "HTTP/1.1",
                    "sourceIp": address,
                    "userAgent": "test",
                },
                "routeKey": "ANY /{proxy+}",
                "stage": "$default",
            },
            "body": '{"a": 1}',
            "pathParameters": {"proxy": "a/b"},
            "isBase64Encoded": False,
        }

    def test_what_a_request_lacks_the_event_lacks(self, template: Cloud, aws: Deploy) -> None:
        """No body, cookies, query, path variables or authorizer: no such fields."""
        echo(template, "GET /orders")
        event = aws(shared=True).http.request("GET", "/orders").json()
        assert event.keys() == {
            "version",
            "routeKey",
            "rawPath",
            "rawQueryString",
            "headers",
            "requestContext",
            "isBase64Encoded",
        }
        assert "authorizer" not in event["requestContext"]

    @pytest.mark.parametrize(
        ("content_type", "encoded"),
        [
            ("text/csv", False),
            ("application/json", False),
            ("Application/JSON; charset=utf-8", False),
            ("application/xml", False),
            ("application/javascript", False),
            ("application/cloudevents+json", True),
            ("application/x-www-form-urlencoded", True),
            ("image/png", True),
            (None, True),
        ],
    )
    def test_what_has_no_type_of_text_is_encoded(
        self, template: Cloud, aws: Deploy, content_type: str | None, encoded: bool
    ) -> None:
        """As measured: https://github.com/ministackorg/ministack/pull/766."""
        echo(template)
        headers = {} if content_type is None else {"Content-Type": content_type}
        event = aws(shared=True).http.request("PUT", "/a", headers=headers, body="a=1").json()
        assert event["isBase64Encoded"] is encoded
        assert event["body"] == ("YT0x" if encoded else "a=1")

    @pytest.mark.parametrize("content_type", ["application/json", "application/octet-stream"])
    @pytest.mark.parametrize(
        "body",
        [
            b'{"a": 1}',
            b'\xef\xbb\xbf{ "a"\r\n\t:1.0 }\n\n',
            '{"é": "\\u00e9 \U0001f4e6"}'.encode(),
            b"\xff\x00\xfe",
        ],
    )
    def test_a_body_arrives_byte_for_byte(
        self, template: Cloud, aws: Deploy, body: bytes, content_type: str
    ) -> None:
        """A signature of it holds."""
        echo(template)
        headers = {"Content-Type": content_type}
        event = aws(shared=True).http.request("PUT", "/a", headers=headers, body=body).json()
        arrived: str = event["body"]
        assert (base64.b64decode(arrived) if event["isBase64Encoded"] else arrived.encode()) == body

    def test_a_query_is_decoded_and_kept_as_it_was(self, template: Cloud, aws: Deploy) -> None:
        """Values of one name are joined with commas."""
        echo(template)
        event = aws(shared=True).http.request("GET", "/a?tag=b%20c&tag=d,e&tag=&q=%C3%A9%2B").json()
        assert event["rawQueryString"] == "tag=b%20c&tag=d,e&tag=&q=%C3%A9%2B"
        assert event["queryStringParameters"] == {"tag": "b c,d,e,", "q": "é+"}

    def test_a_stage_with_a_name_is_part_of_the_path(self, template: Cloud, aws: Deploy) -> None:
        """https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-stages.html."""
        api(template, stage="v1")
        template.function("Echo", ECHO)
        route(template, "GET /orders", "Echo", open_=True)
        event = aws(shared=True).http.request("GET", "/orders").json()
        assert (event["rawPath"], event["requestContext"]["stage"]) == ("/v1/orders", "v1")

    def test_a_body_of_more_than_10_mb_is_refused(self, template: Cloud, aws: Deploy) -> None:
        """https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html."""
        echo(template)
        http = aws(shared=True).http
        assert http.request("PUT", "/a", body="x" * (10 * 1024 * 1024 + 1)).status == 413


def answering(template: Cloud, aws: Deploy, code: str, **function: Any) -> Any:
    """The answer of a function."""
    api(template)
    template.function("F", code, **function)
    route(template, "GET /", "F", open_=True)
    return aws(shared=True).http.request("GET", "/")


class TestResponse:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html."""

    def test_an_answer_with_a_status_code_is_taken_as_it_is(
        self, template: Cloud, aws: Deploy
    ) -> None:
        """This includes headers, cookies and body."""
        answer = answering(
            template,
            aws,
            """
            def handler(event, context):
                return {
                    "statusCode": 202,
                    "headers": {"Location": "/orders/1", "X-Count": 2, "X-Yes": True},
                    "cookies": ["a=1"],
                    "body": "fine",
                }
            """,
        )
        assert (answer.status, answer.body, answer.cookies) == (202, "fine", ["a=1"])
        assert (
            answer.headers.items()
            >= {
                "content-type": "text/plain;charset=UTF-8",
                "location": "/orders/1",
                "x-count": "2",
                "x-yes": "true",
            }.items()
        )

    @pytest.mark.parametrize(
        ("value", "body"),
        [("{'a': 1}", '{"a":1}'), ("'text'", "text"), ("[1, 2]", "[1,2]"), ("None", "null")],
    )
    def test_an_answer_without_a_status_code_is_a_body(
        self, template: Cloud, aws: Deploy, value: str, body: str
    ) -> None:
        """Status 200, type application/json, the answer as body."""
        answer = answering(template, aws, f"def handler(event, context): return {value}")
        assert (answer.status, answer.body) == (200, body)
        assert answer.headers["content-type"] == "application/json"

    @pytest.mark.parametrize(
        "value",
        [
            "{'statusCode': 'fine'}",
            "{'statusCode': 200, 'body': {'a': 1}}",
            "{'statusCode': 200, 'headers': 'x'}",
            "{'statusCode': 200, 'headers': {'x': ['y']}}",
            "{'statusCode': None}",
        ],
    )
    def test_a_malformed_answer_is_an_internal_error(
        self, template: Cloud, aws: Deploy, value: str
    ) -> None:
        """What API Gateway cannot read as a response."""
        answer = answering(template, aws, f"def handler(event, context): return {value}")
        assert (answer.status, answer.body) == (500, '{"message":"Internal Server Error"}')

    @pytest.mark.parametrize(
        "code",
        [
            "def handler(event, context): raise ValueError('secret')",
            "import time\ndef handler(event, context): time.sleep(10)",
            "import nothing",
        ],
    )
    def test_a_failed_function_is_an_internal_error(
        self, template: Cloud, aws: Deploy, code: str
    ) -> None:
        """https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-troubleshooting-lambda.html.

        The client learns nothing of why.
        """
        answer = answering(template, aws, code, Timeout=3)
        assert (answer.status, answer.body) == (500, '{"message":"Internal Server Error"}')

    def test_an_integration_that_takes_too_long_is_unavailable(
        self, template: Cloud, rehearse: Rehearse
    ) -> None:
        """https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html.

        At most 30 seconds, less if the integration says so; the function goes on by itself.
        """
        slow = "import time\ndef handler(event, context): time.sleep(40)"
        api(template)
        template.function("F", slow, Timeout=60)
        route(template, "GET /", "F", open_=True)
        route(template, "GET /brief", "F", open_=True, timeout_ms=2000)
        shop = rehearse()
        start = shop.clock.now()
        answer = shop.http.request("GET", "/brief")
        assert (answer.status, answer.body) == (503, '{"message":"Service Unavailable"}')
        assert shop.clock.now() - start == pytest.approx(2)
        assert shop.http.request("GET", "/").status == 503
        assert shop.clock.now() - start == pytest.approx(32)
        assert shop.meter.of("invocation") == []
        shop.run_until_idle()
        ended = shop.meter.of("invocation", source="Shop/Api", target="Shop/F")
        assert [record.detail["error"] for record in ended] == [None, None]

    def test_a_throttled_function_is_unavailable(self, template: Cloud, aws: Deploy) -> None:
        """https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html."""
        echo(template)
        template.resources["Echo"]["Properties"]["ReservedConcurrentExecutions"] = 0
        assert aws(shared=True).http.request("GET", "/a").status == 503


class TestPermission:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html."""

    @pytest.mark.parametrize(
        ("permission", "status"),
        [
            ("/*/*/orders/{id}", 200),
            ("/*/GET/orders/*", 200),
            ("/$default/GET/orders/{id}", 200),
            ("/*/POST/*", 500),
            ("/prod/*", 500),
            (None, 500),
        ],
    )
    def test_the_function_must_admit_the_route(
        self, template: Cloud, aws: Deploy, permission: str | None, status: int
    ) -> None:
        """A resource-based policy for apigateway.amazonaws.com and the route's ARN."""
        echo(template, "GET /orders/{id}", permission=permission)
        assert aws(shared=True).http.request("GET", "/orders/1").status == status


def guarded(template: Cloud, **options: Any) -> None:
    """An API whose only route has the authorizer."""
    api(template)
    template.function("Echo", ECHO)
    route(template, "GET /orders", "Echo", **options)


class TestAuthorizer:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-jwt-authorizer.html."""

    def request(self, shop: Rehearsal, token: str | None) -> Any:
        headers = {} if token is None else bearer(token)
        return shop.http.request("GET", "/orders", headers=headers)

    def test_claims_of_a_valid_token_reach_the_function(
        self, template: Cloud, rehearse: Rehearse
    ) -> None:
        """As strings, in requestContext.authorizer.jwt; scopes only where the route has some."""
        guarded(template)
        shop = rehearse()
        claims: dict[str, Any] = {"custom:level": 3, "groups": ["a", "b"]}
        token = shop.token("ann", **claims)
        context = self.request(shop, token).json()["requestContext"]["authorizer"]
        claims = context["jwt"]["claims"]
        assert claims["sub"] == "ann"
        assert claims["token_use"] == "access"
        assert claims["client_id"] == shop.physical_id("Shop/Client")
        assert claims["iss"].endswith(f"amazonaws.com/{shop.physical_id('Shop/Pool')}")
        assert claims["exp"] == str(int(shop.clock.now()) + 3600)
        assert (claims["custom:level"], claims["groups"]) == ("3", "[a b]")
        assert context["jwt"]["scopes"] is None

    def test_the_token_may_come_without_bearer(self, template: Cloud, rehearse: Rehearse) -> None:
        """The identity source holds the token alone, or prefixed with Bearer."""
        guarded(template)
        shop = rehearse()
        headers = {"authorization": shop.token("ann")}
        assert shop.http.request("GET", "/orders", headers=headers).status == 200

    def test_without_a_token_the_request_is_unauthorized(
        self, template: Cloud, rehearse: Rehearse
    ) -> None:
        """401 with a challenge, and the function is not called."""
        guarded(template)
        shop = rehearse()
        answer = self.request(shop, None)
        assert (answer.status, answer.body) == (401, '{"message":"Unauthorized"}')
        assert answer.headers["www-authenticate"] == "Bearer"
        assert shop.meter.of("invocation") == []

    @pytest.mark.parametrize(
        ("claims", "reason"),
        [
            ({"iss": "https://example.com"}, "issuer"),
            ({"client_id": "other"}, "audience"),
            ({"client_id": None}, "audience"),
            ({"aud": "other"}, "audience"),
            ({"exp": 1_767_600_000}, "expired"),
            ({"exp": None}, "expired"),
            ({"exp": "soon"}, "no number"),
            ({"nbf": 1_767_600_060}, "not valid yet"),
            ({"iat": 1_767_600_060}, "not valid yet"),
        ],
    )
    def test_each_claim_is_checked(
        self, template: Cloud, rehearse: Rehearse, claims: dict[str, Any], reason: str
    ) -> None:
        """https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-troubleshooting-jwt.html.

        iss, aud (or client_id where there is no aud), exp, nbf and iat.
        """
        guarded(template)
        shop = rehearse()
        answer = self.request(shop, shop.token("ann", **claims))
        assert answer.status == 401
        challenge = answer.headers["www-authenticate"]
        assert challenge.startswith('Bearer scope="" error="invalid_token" error_description="')
        assert reason in challenge

    def test_an_audience_counts_before_a_client(self, template: Cloud, rehearse: Rehearse) -> None:
        """Where both are present only aud is looked at; it may be a list."""
        guarded(template)
        shop = rehearse()
        client = shop.physical_id("Shop/Client")
        token = shop.token("ann", aud=["other", client], client_id="other")
        assert self.request(shop, token).status == 200

    def test_a_token_expires_in_virtual_time(self, template: Cloud, rehearse: Rehearse) -> None:
        """Valid for an hour, and then no more."""
        guarded(template)
        shop = rehearse()
        token = shop.token("ann")
        shop.run_for(3599)
        assert self.request(shop, token).status == 200
        shop.run_for(1)
        assert self.request(shop, token).status == 401

    def test_a_signature_of_somebody_else_is_refused(
        self, template: Cloud, rehearse: Rehearse
    ) -> None:
        """Whatever the claims say: other keys, changed claims, no signature, no JWT."""
        guarded(template)
        shop = rehearse()
        token = shop.token("ann")
        head, payload, signature = token.split(".")
        claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
        stranger = RSAKey.generate_key(2048, {"kid": "dummy"})
        forged = jwt.encode({"alg": "RS256", "kid": "dummy"}, claims, stranger)
        changed = base64.urlsafe_b64encode(json.dumps({**claims, "sub": "bob"}).encode())
        none = base64.urlsafe_b64encode(b'{"alg":"none","kid":"dummy"}').rstrip(b"=").decode()
        for wrong in (
            forged,
            f"{head}.{changed.rstrip(b'=').decode()}.{signature}",
            f"{none}.{payload}.",
            f"{head}.{payload}.",
            "nonsense",
        ):
            assert self.request(shop, wrong).status == 401
        assert self.request(shop, token).status == 200

    def test_a_token_of_another_pool_is_refused(self, template: Cloud, rehearse: Rehearse) -> None:
        """Tokens of two pools differ by their issuer."""
        guarded(template)
        template.add("Other", "AWS::Cognito::UserPool")
        shop = rehearse()
        other = shop.physical_id("Shop/Other")
        issuer = f"https://cognito-idp.eu-central-1.amazonaws.com/{other}"
        token = shop.http.issuer(issuer).sign(
            {
                "iss": issuer,
                "client_id": shop.physical_id("Shop/Client"),
                "exp": shop.clock.now() + 60,
            }
        )
        assert self.request(shop, token).status == 401

    def test_a_token_of_cognito_itself_is_taken(self, template: Cloud, rehearse: Rehearse) -> None:
        """https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-access-token.html."""
        guarded(template)
        flows = ["ALLOW_ADMIN_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]
        template.resources["Client"]["Properties"]["ExplicitAuthFlows"] = flows
        shop = rehearse()
        idp = shop.client("cognito-idp")
        who = {"UserPoolId": shop.physical_id("Shop/Pool"), "Username": "ann"}
        idp.admin_create_user(**who)
        idp.admin_set_user_password(**who, Password="Secret-123456", Permanent=True)
        tokens = idp.admin_initiate_auth(
            UserPoolId=who["UserPoolId"],
            ClientId=shop.physical_id("Shop/Client"),
            AuthFlow="ADMIN_USER_PASSWORD_AUTH",
            AuthParameters={"USERNAME": "ann", "PASSWORD": "Secret-123456"},
        )["AuthenticationResult"]
        assert self.request(shop, tokens["AccessToken"]).status == 200
        assert self.request(shop, tokens["IdToken"]).status == 200

    def test_one_of_the_routes_scopes_is_needed(self, template: Cloud, rehearse: Rehearse) -> None:
        """scope or scp must have at least one; without it the answer is 403."""
        guarded(template, AuthorizationScopes=["shop/read", "shop/write"])
        shop = rehearse()
        good = self.request(shop, shop.token("ann", scope="other shop/read"))
        assert good.json()["requestContext"]["authorizer"]["jwt"]["scopes"] == [
            "other",
            "shop/read",
        ]
        assert self.request(shop, shop.token("ann", scope=None, scp=["shop/write"])).status == 200
        bad = self.request(shop, shop.token("ann", scope="other"))
        assert (bad.status, bad.body) == (403, '{"message":"Forbidden"}')
        assert 'error="insufficient_scope"' in bad.headers["www-authenticate"]
        assert self.request(shop, shop.token("ann")).status == 200

    @pytest.mark.own_behaviour
    def test_another_issuer_gets_a_key_of_the_rehearsal(
        self, template: Cloud, rehearse: Rehearse
    ) -> None:
        """An identity provider outside of AWS."""
        guarded(template)
        configuration = {"Issuer": "https://login.example.com", "Audience": ["shop"]}
        template.resources["Authorizer"]["Properties"]["JwtConfiguration"] = configuration
        shop = rehearse()
        answer = self.request(shop, shop.token("ann"))
        claims = answer.json()["requestContext"]["authorizer"]["jwt"]["claims"]
        assert (claims["iss"], claims["client_id"]) == ("https://login.example.com", "shop")
        assert self.request(shop, shop.token("ann", iss="https://evil.example.com")).status == 401

    def test_a_token_of_one_authorizer_is_refused_by_another(
        self, template: Cloud, rehearse: Rehearse
    ) -> None:
        guarded(template)
        template.add("Office", "AWS::Cognito::UserPool")
        template.add("OfficeClient", "AWS::Cognito::UserPoolClient", UserPoolId=ref("Office"))
        authorizer(template, "Staff", arn("Office", "ProviderURL"), ref("OfficeClient"))
        route(template, "GET /office", "Echo", AuthorizerId=ref("Staff"))
        shop = rehearse()
        statuses = {
            name: [
                shop.http.request(
                    "GET", path, headers=bearer(shop.token("ann", authorizer=name))
                ).status
                for path in ("/orders", "/office")
            ]
            for name in ("Authorizer", "Staff")
        }
        assert statuses == {"Authorizer": [200, 401], "Staff": [401, 200]}
        for unknown in (None, "Nobody"):
            with pytest.raises(RehearsalError, match=r"which authorizer.* Authorizer, Staff"):
                shop.token("ann", authorizer=unknown)

    def test_groups_are_one_string_in_brackets(self, template: Cloud, rehearse: Rehearse) -> None:
        """As any list: https://github.com/aws-solutions-library-samples/guidance-for-claude-code-with-amazon-bedrock/issues/802."""
        api(template)
        template.add(
            "Staff", "AWS::Cognito::UserPoolGroup", UserPoolId=ref("Pool"), GroupName="staff"
        )
        template.function("Echo", ECHO)
        route(template, "GET /", "Echo")
        shop = rehearse()
        pool = shop.client("cognito-idp").list_groups(UserPoolId=shop.physical_id("Shop/Pool"))
        assert [group["GroupName"] for group in pool["Groups"]] == ["staff"]
        for groups, text in ((["staff"], "[staff]"), (["staff", "night"], "[staff night]")):
            named: dict[str, Any] = {"cognito:groups": groups}
            token = shop.token("ann", **named)
            event = shop.http.request("GET", "/", headers=bearer(token)).json()
            claims = event["requestContext"]["authorizer"]["jwt"]["claims"]
            assert claims["cognito:groups"] == text
        event = shop.http.request("GET", "/", headers=bearer(shop.token("ann"))).json()
        assert "cognito:groups" not in event["requestContext"]["authorizer"]["jwt"]["claims"]

    def test_a_route_without_an_authorizer_is_open_to_all(
        self, template: Cloud, rehearse: Rehearse
    ) -> None:
        """AuthorizationType NONE is the default: API Gateway does not close it for you."""
        guarded(template)
        route(template, "GET /open", "Echo", open_=True)
        route(template, "POST /open", "Echo", open_=True, AuthorizationType="NONE")
        shop = rehearse()
        for method in ("GET", "POST"):
            answer = shop.http.request(method, "/open", headers=bearer(shop.token("ann")))
            assert answer.status == 200
            assert "authorizer" not in answer.json()["requestContext"]
        assert shop.http.request("GET", "/orders").status == 401


class TestFront:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api.html."""

    @pytest.mark.own_behaviour
    def test_requests_can_be_made_by_processes_at_once(
        self, template: Cloud, rehearse: Rehearse
    ) -> None:
        """Each waits for its own answer in virtual time."""
        api(template)
        template.function("F", "import time\ndef handler(e, c): time.sleep(5); return e['rawPath']")
        template.resources["F"]["Properties"]["Timeout"] = 10
        route(template, "GET /{proxy+}", "F", open_=True)
        shop = rehearse()
        start = shop.clock.now()
        http = shop.http
        processes = [
            shop.spawn(lambda name=name: http.request("GET", f"/{name}").body) for name in "ab"
        ]
        assert [process.result() for process in processes] == ["/a", "/b"]
        assert shop.clock.now() - start == pytest.approx(5)

    @pytest.mark.own_behaviour
    def test_each_request_is_recorded(self, template: Cloud, rehearse: Rehearse) -> None:
        """With its route and status."""
        echo(template, "GET /orders")
        shop = rehearse()
        shop.http.request("GET", "/orders?x=1")
        shop.http.request("GET", "/other")
        records = shop.meter.of("request")
        assert {(record.source, record.target) for record in records} == {("outside", "Shop/Api")}
        names = ("method", "path", "route", "status", "api_id")
        assert [[record.detail[name] for name in names] for record in records] == [
            ["GET", "/orders", "GET /orders", 200, shop.physical_id("Shop/Api")],
            ["GET", "/other", None, 404, shop.physical_id("Shop/Api")],
        ]

    def test_several_stacks_may_add_routes_to_one_api(self, tmp_path: Path) -> None:
        """https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference-importvalue.html"""
        backbone = Cloud(tmp_path, "Backbone")
        api(backbone)
        pool(backbone)
        exported = {"Api": ref("Api"), "Authorizer": ref("Authorizer")}
        backbone.template["Outputs"] = {
            name: {"Value": value, "Export": {"Name": f"the{name}"}}
            for name, value in exported.items()
        }
        stacks = {"Backbone": backbone.template}
        for name, path in (("Orders", "/orders"), ("Shipping", "/shipments/{id}")):
            cloud = Cloud(tmp_path, name)
            cloud.function("Echo", f"def handler(event, context): return {name!r}")
            route(cloud, f"GET {path}", "Echo")
            route(cloud, f"POST {path}", "Echo", open_=True)
            text = json.dumps(cloud.template)
            for export in exported:
                imported = json.dumps({"Fn::ImportValue": f"the{export}"})
                text = text.replace(json.dumps(ref(export)), imported)
            arns = "arn:aws:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/*/*"
            scope = {"Fn::Sub": [arns, {"Api": {"Fn::ImportValue": "theApi"}}]}
            text = text.replace(json.dumps({"Fn::Sub": arns}), json.dumps(scope))
            stacks[name] = json.loads(text)
        with Rehearsal(write_assembly(tmp_path / "cdk.out", stacks), latency=NONE) as shop:
            headers = bearer(shop.token("ann"))
            assert shop.http.request("GET", "/orders", headers=headers).body == "Orders"
            assert shop.http.request("GET", "/shipments/1", headers=headers).body == "Shipping"
            assert shop.http.request("POST", "/shipments/1").body == "Shipping"
            assert shop.http.request("GET", "/orders").status == 401

    @pytest.mark.own_behaviour
    def test_with_several_apis_one_has_to_be_named(
        self, template: Cloud, rehearse: Rehearse
    ) -> None:
        """By its construct path."""
        echo(template)
        template.add("Other", "AWS::ApiGatewayV2::Api", Name="b", ProtocolType="HTTP")
        template.add(
            "OtherStage", "AWS::ApiGatewayV2::Stage", ApiId=ref("Other"), StageName="$default"
        )
        http = rehearse().http
        with pytest.raises(RehearsalError, match="which API"):
            http.request("GET", "/a")
        assert http.request("GET", "/a", api="Shop/Api").status == 200
        assert http.request("GET", "/a", api="Shop/Other").status == 404

    @pytest.mark.own_behaviour
    def test_a_check_reports_what_the_front_does_not_know(self, template: Cloud) -> None:
        api(template)
        template.function("Echo", ECHO)
        route(template, "GET /", "Echo", open_=True)
        (name,) = [name for name in template.resources if name.startswith("Integration")]
        template.resources[name]["Properties"]["PayloadFormatVersion"] = "3.0"
        (problem,) = check(template.write())
        assert "does not know PayloadFormatVersion" in problem.problem
        assert name in problem.where

    @pytest.mark.own_behaviour
    def test_a_check_reports_everything_that_the_front_does_not_know(self, template: Cloud) -> None:
        api(template)
        template.function("Echo", ECHO)
        route(template, "GET /", "Echo", open_=True)
        route(template, "GET /things", "Echo")
        template.add("Other", "AWS::ApiGatewayV2::Api", Name="other", ProtocolType="HTTP")
        routes = [name for name in template.resources if name.startswith("Route")]
        integrations = [name for name in template.resources if name.startswith("Integration")]
        changes: list[tuple[str, dict[str, Any]]] = [
            (integrations[0], {"PayloadFormatVersion": "3.0", "IntegrationUri": "https://x"}),
            (routes[0], {"AuthorizationType": "API_KEY"}),
            (routes[1], {"AuthorizerId": "none"}),
        ]
        for logical_id, properties in changes:
            template.resources[logical_id]["Properties"] |= properties
        # A problem of another kind hides none of them.
        template.resources["Api"]["Properties"]["Flavour"] = "sweet"
        found = [str(problem) for problem in check(template.write())]
        expected = [(logical_id, name) for logical_id, names in changes for name in names]
        expected += [("Api", "Flavour"), ("Other", "Shop/Other has 0 stages")]
        for logical_id, name in expected:
            assert [f for f in found if f"Shop, {logical_id} (" in f and name in f], (name, found)
        assert len(found) == len(expected)

    @pytest.mark.own_behaviour
    def test_an_integration_with_a_function_that_fails_is_no_problem_of_its_own(
        self, template: Cloud
    ) -> None:
        api(template)
        template.function("Echo", ECHO, Flavour="sweet")
        route(template, "GET /", "Echo", open_=True)
        (problem,) = check(template.write())
        assert "unknown property Flavour" in problem.problem

    @pytest.mark.parametrize(
        ("logical_id", "name", "value"),
        [
            ("Integration4", "PayloadFormatVersion", "3.0"),
            ("Route4", "AuthorizationType", "API_KEY"),
        ],
    )
    @pytest.mark.own_behaviour
    def test_what_the_front_does_not_know_is_an_error(
        self, template: Cloud, rehearse: Rehearse, logical_id: str, name: str, value: Any
    ) -> None:
        """When the template is loaded, and never a silent difference to what is deployed."""
        api(template)
        template.function("Echo", ECHO)
        route(template, "GET /", "Echo", open_=True)
        template.resources[logical_id]["Properties"][name] = value
        with pytest.raises(UnsupportedTemplateError, match=f"{logical_id}.*{name}"):
            rehearse()


class TestServed:
    """The same API at a URL, for clients outside of the process."""

    BINARY = """
    def handler(event, context):
        return {
            "statusCode": 203,
            "headers": {"content-type": "image/png", "x-many": "a,b"},
            "cookies": ["one=1; Path=/", "two=2"],
            "body": "AP8=",
            "isBase64Encoded": True,
        }
    """

    def sent(
        self, shop: Rehearsal, path: str, *, at: str = "", **options: Any
    ) -> tuple[int, Any, bytes]:
        """Send a request from another thread while the rehearsal runs."""
        (url,) = [at] if at else shop.serve_apis().values()

        def fetch() -> tuple[int, Any, bytes]:
            with OPENER.open(Request(url + path, **options), timeout=30) as response:
                return response.status, response.headers, response.read()

        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(fetch)
            while not answer.done():
                shop.run_for(0.01)
        return answer.result()

    def test_a_request_reaches_the_function_byte_for_byte(
        self, template: Cloud, rehearse: Rehearse
    ) -> None:
        echo(template, "POST /things/{id}")
        shop = rehearse()
        headers = {"Content-Type": "application/json", "Cookie": "a=1", "X-Mine": "yes"}
        status, _, body = self.sent(
            shop, "/things/a%2Fb?x=1&x=%C3%BC", data='{"ü": 1}'.encode(), headers=headers
        )
        event = json.loads(body)
        assert status == 200
        assert event["pathParameters"] == {"id": "a/b"}
        assert event["rawQueryString"] == "x=1&x=%C3%BC"
        assert (event["body"], event["isBase64Encoded"]) == ('{"ü": 1}', False)
        assert (event["cookies"], event["headers"]["x-mine"]) == (["a=1"], "yes")
        assert event["headers"]["host"] == event["requestContext"]["domainName"]

    def test_at_the_endpoint_of_aws_the_header_host_names_the_api(
        self, template: Cloud, rehearse: Rehearse
    ) -> None:
        """Clients of a deployed API need no other URL. Other domains of APIs are not found."""
        echo(template, "GET /things")
        shop = rehearse()
        domain = f"{shop.physical_id('Shop/Api')}.execute-api.{shop.region}.amazonaws.com"
        for host in (domain, domain.upper(), f"{domain}:443"):
            status, _, body = self.sent(shop, "/things", at=shop.serve(), headers={"Host": host})
            assert (status, json.loads(body)["requestContext"]["domainName"]) == (200, domain)
        with pytest.raises(HTTPError, match="404") as other:
            self.sent(shop, "/things", at=shop.serve(), headers={"Host": f"other-{domain}"})
        other.value.close()

    def test_a_binary_answer_and_its_cookies_arrive(
        self, template: Cloud, rehearse: Rehearse
    ) -> None:
        api(template)
        template.function("Draw", self.BINARY)
        route(template, "GET /picture", "Draw", open_=True)
        status, headers, body = self.sent(rehearse(), "/picture")
        assert (status, body) == (203, b"\x00\xff")
        assert headers.get_all("set-cookie") == ["one=1; Path=/", "two=2"]
        assert (headers["content-type"], headers["x-many"]) == ("image/png", "a,b")

    def test_the_url_of_a_named_stage_begins_with_its_name(
        self, template: Cloud, rehearse: Rehearse
    ) -> None:
        api(template, stage="beta")
        template.function("Echo", ECHO)
        route(template, "GET /things", "Echo", open_=True)
        shop = rehearse()
        (url,) = shop.serve_apis().values()
        assert url.endswith("/beta")
        assert json.loads(self.sent(shop, "/things")[2])["rawPath"] == "/beta/things"
        assert shop.serve_apis() == {"Shop/Api": url}
        for other in ("/things", "/betamax/things"):
            with pytest.raises(HTTPError, match="404"):
                OPENER.open(url.removesuffix("/beta") + other, timeout=30)

    def test_an_application_without_an_api_serves_none(
        self, template: Cloud, rehearse: Rehearse
    ) -> None:
        template.queue("Queue")
        assert rehearse().serve_apis() == {}


class TestFaults:
    """Faults act on a client's request when it reaches its route."""

    @staticmethod
    def open(template: Cloud, rehearse: Rehearse) -> Rehearsal:
        echo(template, "POST /{proxy+}")
        return rehearse()

    def test_a_request_arrives_twice(self, template: Cloud, rehearse: Rehearse) -> None:
        shop = self.open(template, rehearse)
        shop.faults.plan(FAULTS["sent-twice"], source="Shop/Api", target="Shop/Echo")
        assert [shop.http.request("POST", "/a", body="1").status for _ in range(2)] == [200, 200]
        faults = [record.detail.get("fault") for record in shop.meter.of("request")]
        assert faults == ["sent-twice", "sent-twice", None]
        assert len(shop.meter.of("invocation")) == 3

    def test_a_request_arrives_late(self, template: Cloud, rehearse: Rehearse) -> None:
        shop = self.open(template, rehearse)
        shop.faults.plan(FAULTS["sent-late"], target="Shop/Echo")
        before = shop.scheduler.now()
        event = shop.http.request("POST", "/a", body="1").json()
        assert event["requestContext"]["timeEpoch"] / 1000 - before >= 600

    @pytest.mark.parametrize(
        ("sent", "content_type"), [("text", "text/plain"), (b"\xff", "application/octet-stream")]
    )
    def test_a_request_arrives_with_another_body_and_other_headers(
        self, template: Cloud, rehearse: Rehearse, sent: str | bytes, content_type: str
    ) -> None:
        arrived, bodies = list[Arrival](), list[str]()

        def change(arrival: Arrival) -> Any:
            arrived.append(arrival)
            changed = arrival.deliver(body=b"longer than before").json()
            assert changed["headers"]["content-length"] == "18"
            bodies.append(changed["body"])
            return arrival.deliver(headers={**arrival.headers, "x-other": "1"})

        shop = self.open(template, rehearse)
        shop.faults.plan(Fault("changed", "changed", "request", change), source="Shop/Api")
        headers = {"content-type": content_type}
        event = shop.http.request("POST", "/a?b=1", headers=headers, body=sent).json()
        (arrival,) = arrived
        assert (arrival.method, arrival.path) == ("POST", "/a")
        assert arrival.body == (sent.encode() if isinstance(sent, str) else sent)
        longer = b"longer than before"
        as_sent = base64.b64encode(longer) if isinstance(sent, bytes) else longer
        assert bodies == [as_sent.decode()]
        assert event["headers"]["x-other"] == "1"
        assert event["isBase64Encoded"] is isinstance(sent, bytes)

    def test_a_fault_at_another_function_does_not_act(
        self, template: Cloud, rehearse: Rehearse
    ) -> None:
        template.function("Other", ECHO)
        shop = self.open(template, rehearse)
        shop.faults.plan(FAULTS["sent-twice"], target="Shop/Other")
        shop.http.request("POST", "/a")
        assert len(shop.meter.of("invocation")) == 1


class TestCors:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-cors.html."""

    CONFIGURATION: ClassVar[dict[str, Any]] = {
        "AllowOrigins": ["https://shop.example"],
        "AllowMethods": ["GET", "POST"],
        "AllowHeaders": ["authorization"],
        "ExposeHeaders": ["etag"],
        "MaxAge": 300,
        "AllowCredentials": True,
    }

    def front(self, template: Cloud, rehearse: Rehearse, **changed: Any) -> Any:
        configuration = {**self.CONFIGURATION, **changed}
        api(template, CorsConfiguration=configuration)
        template.function(
            "Function",
            """
            def handler(event, context):
                headers = {"Access-Control-Allow-Origin": "https://wrong", "etag": "e"}
                return {"statusCode": 200, "headers": headers}
            """,
        )
        route(template, "ANY /{proxy+}", "Function")
        return rehearse()

    def test_the_api_answers_a_preflight_without_the_function(
        self, template: Cloud, rehearse: Rehearse
    ) -> None:
        """And without a token, which browsers do not send with it."""
        shop = self.front(template, rehearse)
        headers = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}
        answer = shop.http.request("OPTIONS", "/a", headers=headers)
        assert answer.status == 204
        assert answer.headers == {
            "access-control-allow-origin": "https://shop.example",
            "access-control-allow-credentials": "true",
            "access-control-allow-methods": "GET,POST",
            "access-control-allow-headers": "authorization",
            "access-control-max-age": "300",
        }
        assert shop.meter.of("invocation") == []
        other = {**headers, "Origin": "https://evil.example"}
        assert shop.http.request("OPTIONS", "/a", headers=other).headers == {}

    def test_an_answer_has_the_headers_of_the_api_and_not_of_the_function(
        self, template: Cloud, rehearse: Rehearse
    ) -> None:
        """Only for an origin that is allowed."""
        shop = self.front(template, rehearse)
        token = {"Authorization": f"Bearer {shop.token('ann')}"}
        mine = shop.http.request("GET", "/a", headers={**token, "Origin": "https://shop.example"})
        assert mine.headers["access-control-allow-origin"] == "https://shop.example"
        assert mine.headers["access-control-expose-headers"] == "etag"
        assert "access-control-allow-methods" not in mine.headers
        for origin in ({}, {"Origin": "https://evil.example"}):
            answer = shop.http.request("GET", "/a", headers={**token, **origin})
            assert [name for name in answer.headers if "access-control" in name] == []

    @pytest.mark.parametrize(
        ("allowed", "answered"),
        [("*", "*"), ("https://*", "https://any.example"), ("http://*", None)],
    )
    def test_origins_can_be_wildcards(
        self, template: Cloud, rehearse: Rehearse, allowed: str, answered: str | None
    ) -> None:
        """All, or those of a scheme."""
        shop = self.front(template, rehearse, AllowOrigins=[allowed])
        headers = {"Origin": "https://any.example", "Access-Control-Request-Method": "GET"}
        answer = shop.http.request("OPTIONS", "/a", headers=headers)
        assert answer.headers.get("access-control-allow-origin") == answered


class TestSignedRequests:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-access-control-iam.html."""

    def signed(self, shop: Any, method: str, path: str, body: str, **wrong: str) -> Any:
        host = f"{shop.physical_id('Shop/Api')}.execute-api.eu-central-1.amazonaws.com"
        given = {"host": host, "content-type": "application/json"}
        request = AWSRequest(method, f"https://{host}{path}", data=body, headers=given)
        keys = Credentials(wrong.get("key", "rehearsal"), wrong.get("secret", "rehearsal"))
        signer = SigV4Auth(keys, "execute-api", wrong.get("region", "eu-central-1"))
        shop.run(signer.add_auth, request)
        headers = {**dict(request.headers), **wrong.get("headers", {})}  # type: ignore[dict-item]
        return shop.http.request(method, path, headers=headers, body=wrong.get("sent", body))

    @pytest.fixture
    def shop(self, template: Cloud, rehearse: Rehearse) -> Any:
        echo(template, AuthorizationType="AWS_IAM")
        return rehearse()

    def test_a_signed_request_reaches_the_function(self, shop: Any) -> None:
        """The event names the caller."""
        answer = self.signed(shop, "POST", "/a/b?x=1&y=a%20b", '{"a": 1}')
        assert answer.status == 200
        iam = answer.json()["requestContext"]["authorizer"]["iam"]
        assert (iam["accessKey"], iam["accountId"]) == ("rehearsal", "123456789012")

    @pytest.mark.parametrize(
        "wrong",
        [
            {"secret": "guessed"},
            {"key": "other"},
            {"region": "us-east-1"},
            {"sent": '{"a": 2}'},
            {"headers": {"authorization": "Bearer token"}},
            {"headers": {"X-Amz-Date": "20200101T000000Z"}},
        ],
    )
    def test_any_other_request_is_forbidden(self, shop: Any, wrong: Any) -> None:
        """Wrong keys, changed bodies and old signatures among them.

        https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-access-control-iam.html
        https://docs.aws.amazon.com/IAM/latest/UserGuide/signing-elements.html
        """
        answer = self.signed(shop, "POST", "/a", '{"a": 1}', **wrong)
        assert (answer.status, answer.json()) == (403, {"message": "Forbidden"})
        assert shop.meter.of("invocation") == []


class TestFormat1:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html."""

    def front(self, template: Cloud, deploy: Deploy, code: str = ECHO, **route_: Any) -> Any:
        api(template)
        template.function("Function", code)
        route(template, "ANY /things/{id}", "Function", **route_)
        (name,) = [name for name in template.resources if name.startswith("Integration")]
        del template.resources[name]["Properties"]["PayloadFormatVersion"]
        return deploy()

    def test_an_event_has_the_older_form(self, template: Cloud, rehearse: Rehearse) -> None:
        """It is that of an integration without a version."""
        code = """
        import json
        def handler(event, context): return {"statusCode": 200, "body": json.dumps(event)}
        """
        shop = self.front(template, rehearse, code)
        event = shop.http.request(
            "POST",
            "/things/7?x=1&x=2",
            headers={"Authorization": f"Bearer {shop.token('ann')}", "Cookie": "a=1; b=2"},
            body={"a": 1},
        ).json()
        context = event.pop("requestContext")
        headers = event.pop("headers")
        assert event.pop("multiValueHeaders")["host"] == [headers["host"]]
        assert headers["cookie"] == "a=1; b=2"
        assert context["authorizer"]["claims"]["sub"] == "ann"
        assert context["identity"]["sourceIp"] == "198.51.100.7"
        assert (context["resourcePath"], context["httpMethod"]) == ("/things/{id}", "POST")
        assert event == {
            "version": "1.0",
            "resource": "/things/{id}",
            "path": "/things/7",
            "httpMethod": "POST",
            "queryStringParameters": {"x": "2"},
            "multiValueQueryStringParameters": {"x": ["1", "2"]},
            "pathParameters": {"id": "7"},
            "stageVariables": None,
            "body": '{"a": 1}',
            "isBase64Encoded": False,
        }

    def test_an_answer_needs_a_status_code(self, template: Cloud, aws: Deploy) -> None:
        """Nothing is inferred from other answers."""
        assert self.front(template, aws, open_=True).http.request("GET", "/things/7").status == 500

    def test_headers_of_several_values_are_sent(self, template: Cloud, aws: Deploy) -> None:
        """Cookies among them."""
        code = """
        def handler(event, context):
            many = {"Set-Cookie": ["a=1", "b=2"], "X-Many": ["1", "2"]}
            return {"statusCode": 201, "headers": {"x": "y"}, "multiValueHeaders": many}
        """
        answer = self.front(template, aws, code, open_=True).http.request("GET", "/things/7")
        assert (answer.status, answer.cookies) == (201, ["a=1", "b=2"])
        assert (answer.headers["x"], answer.headers["x-many"]) == ("y", "1,2")


def test_each_request_is_logged_in_the_format_of_the_stage(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging-variables.html"""
    api(template)
    template.add("Log", "AWS::Logs::LogGroup")
    template.resources["Stage"]["Properties"]["AccessLogSettings"] = {
        "DestinationArn": arn("Log"),
        "Format": '{"route": "$context.routeKey", "status": "$context.status", '
        '"id": "$context.requestId", "ms": "$context.responseLatency", '
        '"error": "$context.integrationErrorMessage", "token": "$context.authorizer.error", '
        '"other": "$context.identity.caller"}',
    }
    template.function(
        "Slow", "import time\ndef handler(event, _): time.sleep(2); raise KeyError('no')"
    )
    template.function("Echo", ECHO)
    route(template, "GET /slow", "Slow", open_=True)
    route(template, "GET /echo", "Echo", open_=True)
    route(template, "GET /closed", "Echo")
    shop = rehearse()
    answers = [shop.http.request("GET", path) for path in ("/echo", "/slow", "/closed", "/none")]
    events = shop.client("logs").filter_log_events(logGroupName=shop.physical_id("Shop/Log"))
    entries = [json.loads(event["message"]) for event in events["events"]]
    assert [entry["status"] for entry in entries] == ["200", "500", "401", "404"]
    assert [entry["route"] for entry in entries] == ["GET /echo", "GET /slow", "GET /closed", "-"]
    assert [entry["ms"] for entry in entries] == ["0", "2000", "0", "0"]
    assert entries[0]["id"] == json.loads(answers[0].body)["requestContext"]["requestId"]
    assert len({entry["id"] for entry in entries}) == 4
    assert [entry["error"] for entry in entries] == ["-", "the function failed: KeyError", "-", "-"]
    assert [entry["token"] == "-" for entry in entries] == [True, True, False, True]
    assert {entry["other"] for entry in entries} == {"-"}
