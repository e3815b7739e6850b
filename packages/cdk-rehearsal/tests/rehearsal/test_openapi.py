"""REST APIs from OpenAPI documents: the same as if the template stated each method."""

from __future__ import annotations

from typing import Any

import pytest

from cdk_rehearsal.errors import UnsupportedTemplateError
from rehearsal.cloud import Cloud, arn
from rehearsal.conftest import Rehearse
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
