"""APIs from OpenAPI documents: the same as if the template stated each method or route."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from cdk_rehearsal import RehearsalError, check
from cdk_rehearsal.errors import UnsupportedTemplateError
from rehearsal import test_http_api
from rehearsal.cloud import Cloud, arn, ref
from rehearsal.conftest import Deploy, Rehearse
from rehearsal.crossing import crosses
from rehearsal.test_rest_api import SIGNED, api, permit, uri

AUTHORIZER = """
def handler(event, context):
    effect = "Allow" if event["authorizationToken"] == "good" else "Deny"
    statement = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": event["methodArn"]}
    document = {"Version": "2012-10-17", "Statement": [statement]}
    return {"principalId": "me", "policyDocument": document}
"""
X = "x-amazon-apigateway-"


def operation(**more: Any) -> dict[str, Any]:
    integration = {"type": "aws_proxy", "httpMethod": "POST", "uri": uri("Echo")}
    return {f"{X}integration": integration, "responses": {"200": {"description": "yes"}}, **more}


def described(template: Cloud, paths: dict[str, Any], **more: Any) -> Cloud:
    body = {"openapi": "3.0.1", "info": {"title": "api", "version": "1"}, "paths": paths, **more}
    api(template, Body=body)
    return template


def test_each_operation_is_a_method(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-import-api.html"""
    paths = {
        "/": {"get": operation()},
        "/items/{id}": {"get": operation(), f"{X}any-method": operation()},
    }
    described(template, paths)
    http = rehearse().http
    found = http.request("GET", "/items/7").json()
    assert (found["pathParameters"], found["resource"]) == ({"id": "7"}, "/items/{id}")
    assert http.request("GET", "/").json()["resource"] == "/"
    assert http.request("DELETE", "/items/7").json()["httpMethod"] == "DELETE"
    assert http.request("GET", "/items").status == 403


def test_an_integration_maps_requests_and_answers(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-swagger-extensions-integration.html"""
    mock = {
        "type": "mock",
        "requestTemplates": {"application/json": '{"statusCode": 404}'},
        "responses": {
            "default": {"statusCode": "200"},
            "404": {"statusCode": "404", "responseTemplates": {"application/json": "none"}},
        },
    }
    described(template, {"/": {"get": {f"{X}integration": mock}}})
    answer = rehearse().http.request("GET", "/")
    assert (answer.status, answer.body) == (404, "none")


@pytest.mark.parametrize("everywhere", [True, False])
def test_a_security_scheme_is_an_authorizer(
    template: Cloud, rehearse: Rehearse, everywhere: bool
) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-swagger-extensions-authorizer.html"""
    scheme = {
        "type": "apiKey",
        "name": "Token",
        "in": "header",
        f"{X}authtype": "custom",
        f"{X}authorizer": {"type": "token", "authorizerUri": uri("Guard")},
    }
    security: dict[str, Any] = {"security": [{"guard": []}]}
    described(
        template,
        {
            "/": {"get": operation(**({} if everywhere else security))},
            "/open": {"get": operation(security=[])},
        },
        components={"securitySchemes": {"guard": scheme}},
        **(security if everywhere else {}),
    )
    template.function("Guard", AUTHORIZER)
    permit(template, "Guard")
    http = rehearse().http
    assert http.request("GET", "/").status == 401
    assert http.request("GET", "/", headers={"Token": "bad"}).status == 403
    assert http.request("GET", "/", headers={"Token": "good"}).status == 200
    assert http.request("GET", "/open").status == 200


def test_methods_may_need_a_signature_or_a_key(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-swagger-extensions-authtype.html"""
    key = {"type": "apiKey", "name": "x-api-key", "in": "header"}
    sigv4 = {**key, "name": "Authorization", f"{X}authtype": "awsSigv4"}
    described(
        template,
        {
            "/signed": {"get": operation(**{f"{X}auth": {"type": "AWS_IAM"}})},
            "/scheme": {"get": operation(security=[{"sigv4": []}])},
            "/key": {"get": operation(security=[{"key": []}])},
        },
        components={"securitySchemes": {"key": key, "sigv4": sigv4}},
    )
    http = rehearse().http
    for path in ("/signed", "/scheme"):
        assert http.request("GET", path).status == 403
        assert http.request("GET", path, headers=SIGNED).status == 200
    assert http.request("GET", "/key").status == 403


@pytest.mark.parametrize(
    ("paths", "more", "message"),
    [
        ({"/": {"get": {}}}, {}, "Body: get / has no x-amazon-apigateway-integration"),
        ({"/": {"trace": {}}}, {}, "Body: /: the rehearsal does not know trace"),
        (
            {"/": {"get": operation(**{f"{X}request-validator": "all"})}},
            {},
            "Body: get /: the rehearsal does not know x-amazon-apigateway-request-validator",
        ),
        (
            {"/": {"get": operation()}},
            {f"{X}policy": {}},
            "Body: the rehearsal does not know x-amazon-apigateway-policy",
        ),
        (
            {"/": {"get": {f"{X}integration": {"type": "mock", "tlsConfig": {}}}}},
            {},
            "Body: get /: the rehearsal does not know tlsConfig",
        ),
        (
            {"/": {"get": operation(security=[{"a": []}, {"b": []}])}},
            {},
            "one alternative of security",
        ),
        ({"/": {"get": operation(security=[{"a": []}])}}, {}, "the security scheme a"),
        (
            {"/": {"get": {f"{X}integration": {"type": "http", "uri": "https://x.org"}}}},
            {},
            "Type = 'HTTP'",
        ),
    ],
)
def test_what_the_rehearsal_does_not_know_of_a_document_is_refused_by_name(
    template: Cloud, rehearse: Rehearse, paths: Any, more: Any, message: str
) -> None:
    described(template, paths, **more)
    with pytest.raises(UnsupportedTemplateError, match=message):
        rehearse()


def test_a_user_pool_is_an_authorizer(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-swagger-extensions-authorizer.html"""
    template.add("Pool", "AWS::Cognito::UserPool")
    template.add("Client", "AWS::Cognito::UserPoolClient", UserPoolId={"Ref": "Pool"})
    scheme = {
        "type": "apiKey",
        "name": "Authorization",
        "in": "header",
        f"{X}authorizer": {"type": "cognito_user_pools", "providerARNs": [arn("Pool")]},
    }
    described(
        template,
        {"/": {"get": operation(security=[{"pool": []}])}},
        securityDefinitions={"pool": scheme},
    )
    shop = rehearse()
    assert shop.http.request("GET", "/").status == 401
    headers = {"Authorization": shop.token("me")}
    assert shop.http.request("GET", "/", headers=headers).status == 200


# -- documents outside of the template ----------------------------------------------------

MOCK = {
    "/": {
        "get": {
            f"{X}integration": {
                "type": "mock",
                "requestTemplates": {"application/json": '{"statusCode": 404}'},
                "responses": {"default": {"statusCode": "200"}, "404": {"statusCode": "404"}},
            }
        }
    }
}
HERE = {"Bucket": {"Fn::Sub": "assets-${AWS::Region}"}, "Key": "api.json"}
PLACE = "s3://assets-eu-central-1/api.json"


def document(paths: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"openapi": "3.0.1", "info": {"title": "api", "version": "1"}, "paths": paths, **more}


@pytest.mark.parametrize("text", [json.dumps, yaml.safe_dump])
def test_a_document_may_be_an_asset(
    template: Cloud, rehearse: Rehearse, tmp_path: Path, text: Any
) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-import-api.html"""
    api(template, BodyS3Location=HERE)
    (tmp_path / "document").write_text(text(document(MOCK)))
    template.files["api.json"] = "../document"
    assert rehearse().http.request("GET", "/").status == 404


def test_a_document_in_yaml_may_have_numbers_as_names(
    template: Cloud, rehearse: Rehearse, tmp_path: Path
) -> None:
    api(template, BodyS3Location=HERE)
    text = yaml.safe_dump(document(MOCK)).replace("'404':", "404:").replace("'200'", "200")
    (tmp_path / "document").write_text(text)
    template.files["api.json"] = "../document"
    assert rehearse().http.request("GET", "/").status == 404


@pytest.mark.parametrize("text", [lambda each: each, json.dumps, yaml.safe_dump])
def test_a_document_elsewhere_needs_a_value(template: Cloud, rehearse: Rehearse, text: Any) -> None:
    api(template, BodyS3Location=HERE)
    (found,) = check(template.write())
    assert f"no document {PLACE}: give it as values[{PLACE!r}]" in found.problem
    shop = rehearse(values={PLACE: text(document(MOCK))})
    assert shop.http.request("GET", "/").status == 404


def test_with_stand_ins_such_an_api_has_no_paths(template: Cloud, rehearse: Rehearse) -> None:
    api(template, BodyS3Location=HERE)
    shop = rehearse(stand_ins=True)
    assert f"{PLACE}: a document without paths" in [str(each) for each in shop.stand_ins]
    assert shop.http.request("GET", "/").status == 403


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "the OpenAPI document is no JSON or YAML"),
        ("[1]", "the OpenAPI document is no object"),
    ],
)
def test_what_is_no_document_is_refused(
    template: Cloud, rehearse: Rehearse, text: str, message: str
) -> None:
    api(template, BodyS3Location=HERE)
    with pytest.raises(UnsupportedTemplateError, match=message):
        rehearse(values={PLACE: text})


# -- HTTP APIs ----------------------------------------------------------------------------


def http_api(template: Cloud, paths: dict[str, Any], **more: Any) -> None:
    """Adds an HTTP API from a document, and a function that it may invoke."""
    template.function("Echo", test_http_api.ECHO)
    permit(template, "Echo")
    template.add("Api", "AWS::ApiGatewayV2::Api", Body=document(paths, **more))
    template.add(
        *("Stage", "AWS::ApiGatewayV2::Stage"),
        ApiId=ref("Api"),
        StageName="$default",
        AutoDeploy=True,
    )


def invokes(function: str = "Echo", **more: Any) -> dict[str, Any]:
    """An operation whose integration invokes a function."""
    integration = {"type": "AWS_PROXY", "uri": uri(function), "payloadFormatVersion": "2.0"}
    return {f"{X}integration": {**integration, **more}, "responses": {}}


def test_each_operation_is_a_route(template: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-open-api.html"""
    paths = {
        "/items/{id}": {"get": invokes(), f"{X}any-method": invokes()},
        "/$default": {f"{X}any-method": {**invokes(), "isDefaultRoute": True}},
    }
    http_api(template, paths)
    http = aws(shared=True).http
    found = http.request("GET", "/items/7").json()
    assert (found["routeKey"], found["pathParameters"]) == ("GET /items/{id}", {"id": "7"})
    assert http.request("PUT", "/items/7").json()["routeKey"] == "ANY /items/{id}"
    assert http.request("GET", "/other").json()["routeKey"] == "$default"


def test_routes_may_share_an_integration(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-extensions-integrations.html"""
    shared = {"$ref": f"#/components/{X}integrations/echo"}
    http_api(
        template,
        {path: {"get": {f"{X}integration": shared}} for path in ("/a", "/b")},
        components={f"{X}integrations": {"echo": invokes()[f"{X}integration"]}},
    )
    http = rehearse().http
    keys = [http.request("GET", path).json()["routeKey"] for path in ("/a", "/b")]
    assert keys == ["GET /a", "GET /b"]


def test_an_integration_changes_requests_and_answers(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-swagger-extensions-integration.html"""
    changes: dict[str, Any] = {
        "requestParameters": {"append:header.x-more": "yes"},
        "responseParameters": {"200": {"overwrite:statuscode": "201"}},
        "timeoutInMillis": 1000,
    }
    http_api(template, {"/": {"get": invokes(**changes)}})
    answer = rehearse().http.request("GET", "/")
    assert (answer.status, answer.json()["headers"]["x-more"]) == (201, "yes")


def test_a_document_states_the_answers_to_browsers(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-swagger-extensions-cors-configuration.html"""
    cors = {"allowOrigins": ["https://shop.example"], "allowMethods": ["GET"], "maxAge": 60}
    http_api(template, {"/": {"get": invokes()}}, **{f"{X}cors": cors})
    asks = {"Origin": "https://shop.example", "Access-Control-Request-Method": "GET"}
    answer = rehearse().http.request("OPTIONS", "/", headers=asks)
    assert (answer.status, answer.headers["access-control-max-age"]) == (204, "60")


def test_a_scheme_with_tokens_is_an_authorizer(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-open-api.html"""
    jwt = {
        "type": "jwt",
        "identitySource": "$request.header.Authorization",
        "jwtConfiguration": {"issuer": "https://issuer.example", "audience": ["shop"]},
    }
    http_api(
        template,
        {
            "/": {"get": {**invokes(), "security": [{"jwt": ["buy"]}]}},
            "/open": {"get": {**invokes(), "security": []}},
        },
        components={"securitySchemes": {"jwt": {"type": "oauth2", f"{X}authorizer": jwt}}},
        security=[{"jwt": []}],
    )
    shop = rehearse()
    assert shop.http.request("GET", "/").status == 401
    assert shop.http.request("GET", "/open").status == 200
    lacking = {"Authorization": shop.token("me", scope="sell")}
    assert shop.http.request("GET", "/", headers=lacking).status == 403
    event = shop.http.request("GET", "/", headers={"Authorization": shop.token("me")}).json()
    assert event["requestContext"]["authorizer"]["jwt"]["scopes"] == ["buy"]


def test_a_scheme_with_a_function_is_an_authorizer(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-open-api.html"""
    custom = {
        "type": "request",
        "authorizerUri": uri("Guard"),
        "authorizerPayloadFormatVersion": 2.0,
        "enableSimpleResponses": True,
        "identitySource": "$request.header.Token, $request.querystring.q",
    }
    http_api(
        template,
        {"/": {"get": {**invokes(), "security": [{"guard": []}]}}},
        components={"securitySchemes": {"guard": {"type": "apiKey", f"{X}authorizer": custom}}},
    )
    code = "def handler(e, c): return {'isAuthorized': e['identitySource'] == ['good', '1']}"
    template.function("Guard", code)
    permit(template, "Guard")
    http = rehearse().http
    tokens = ("good", "bad")
    found = [http.request("GET", "/?q=1", headers={"Token": each}).status for each in tokens]
    assert [*found, http.request("GET", "/").status] == [200, 403, 401]


def test_a_signed_route_admits_those_who_may_invoke(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-access-control-iam.html"""
    http_api(template, {"/": {"get": {**invokes(), f"{X}auth": {"type": "AWS_IAM"}}}})
    allow = {"Effect": "Allow", "Resource": "*"}
    template.role("May", {**allow, "Action": "execute-api:Invoke"})
    template.role("MayNot", {**allow, "Action": "sqs:SendMessage"})
    shop = rehearse()
    roles = [shop.resource(f"Shop/{name}").attributes["Arn"] for name in ("May", "MayNot")]
    assert [shop.http.request("GET", "/", role=role).status for role in roles] == [200, 403]
    assert shop.http.request("GET", "/").status == 403


@pytest.mark.parametrize(
    ("paths", "more", "message"),
    [
        ({"/": {"get": {}}}, {}, "Body: get / has no x-amazon-apigateway-integration"),
        (
            {"/": {"get": {f"{X}integration": {"type": "http_proxy", "uri": "https://x.org"}}}},
            {},
            "IntegrationType = 'HTTP_PROXY'",
        ),
        ({"/": {"get": invokes(cacheNamespace="x")}}, {}, "does not know cacheNamespace"),
        ({"/": {"get": {f"{X}integration": {"$ref": "#/x"}}}}, {}, "Body: get /: there is no #/x"),
        ({"/": {"get": invokes()}}, {f"{X}cors": {"origins": []}}, "does not know origins"),
        (
            {"/": {"get": {**invokes(), "security": [{"key": []}]}}},
            {"securityDefinitions": {"key": {"type": "apiKey", "name": "x-api-key"}}},
            "ApiKeyRequired = True",
        ),
    ],
)
def test_what_an_http_api_lacks_of_a_document_is_refused_by_name(
    template: Cloud, rehearse: Rehearse, paths: Any, more: Any, message: str
) -> None:
    http_api(template, paths, **more)
    with pytest.raises(UnsupportedTemplateError, match=message):
        rehearse()


def test_a_function_of_a_document_may_be_outside(template: Cloud, rehearse: Rehearse) -> None:
    outside = "arn:aws:lambda:eu-central-1:123456789012:function:partner"
    integration = {"type": "AWS_PROXY", "uri": outside, "payloadFormatVersion": "2.0"}
    http_api(template, {"/": {"get": {f"{X}integration": integration}}})
    with pytest.raises(RehearsalError, match="partner is not in the assembly"):
        rehearse()
    shop = rehearse(stubs={outside: lambda event, context: "partner"})
    assert shop.http.request("GET", "/").body == "partner"


@crosses("apigatewayv2.routes")
@pytest.mark.parametrize(("count", "loads"), [(300, True), (301, False)])
def test_the_routes_of_a_document_count(
    template: Cloud, rehearse: Rehearse, count: int, loads: bool
) -> None:
    http_api(template, {f"/{index}": {"get": invokes()} for index in range(count)})
    problems = [each.problem for each in check(template.write())]
    assert any("Routes" in each for each in problems) != loads
