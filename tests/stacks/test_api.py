"""The API: it fails closed, within bounds, and says who asked for what."""

import json

from tests.support.assemblies import Assembly


def test_every_route_has_an_authorizer_that_checks_tokens(shop: Assembly) -> None:
    for route in shop.of_type("AWS::ApiGatewayV2::Route"):
        assert route.properties["AuthorizationType"] == "JWT", route
        authorizer = shop.referred(route.stack, route.properties["AuthorizerId"])
        assert authorizer.properties["AuthorizerType"] == "JWT"


def test_there_is_no_route_for_whatever_is_left(shop: Assembly) -> None:
    keys = [route.properties["RouteKey"] for route in shop.of_type("AWS::ApiGatewayV2::Route")]
    assert sorted(keys) == ["DELETE /orders/{order_id}", "GET /orders/{order_id}", "POST /orders"]


def test_tokens_are_those_of_the_shops_own_customers(shop: Assembly) -> None:
    (authorizer,) = shop.of_type("AWS::ApiGatewayV2::Authorizer")
    token = authorizer.properties["JwtConfiguration"]
    (audience,) = token["Audience"]
    client = shop.referred(authorizer.stack, audience)
    assert client.type == "AWS::Cognito::UserPoolClient"
    pool = shop.referred(authorizer.stack, token["Issuer"]["Fn::Join"][1][-1])
    assert pool.type == "AWS::Cognito::UserPool"
    assert shop.referred(client.stack, client.properties["UserPoolId"]) == pool


def test_requests_are_throttled(shop: Assembly) -> None:
    for stage in shop.of_type("AWS::ApiGatewayV2::Stage"):
        settings = stage.properties["DefaultRouteSettings"]
        assert settings["ThrottlingRateLimit"] > 0
        assert settings["ThrottlingBurstLimit"] >= settings["ThrottlingRateLimit"]


def test_each_request_is_logged_without_who_sent_it(shop: Assembly) -> None:
    for stage in shop.of_type("AWS::ApiGatewayV2::Stage"):
        log = stage.properties["AccessLogSettings"]
        assert shop.referred(stage.stack, log["DestinationArn"]).type == "AWS::Logs::LogGroup"
        fields = json.loads(log["Format"])
        assert {"$context.requestId", "$context.routeKey", "$context.status"} <= set(
            fields.values()
        )
        assert "claims" not in log["Format"]
        assert "sourceIp" not in log["Format"]


def test_requests_reach_functions_in_the_format_that_handlers_read(shop: Assembly) -> None:
    for integration in shop.of_type("AWS::ApiGatewayV2::Integration"):
        assert integration.properties["PayloadFormatVersion"] == "2.0", integration
        assert integration.properties["IntegrationType"] == "AWS_PROXY", integration
