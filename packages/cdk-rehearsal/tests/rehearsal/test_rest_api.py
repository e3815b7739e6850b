"""REST APIs: routes, events, authorizers, validation, keys, and integrations with services."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from cdk_rehearsal import FAULTS, Rehearsal, check
from rehearsal.cloud import Cloud, arn, ref
from rehearsal.conftest import Deploy, Rehearse

ECHO = """
import json
def handler(event, context): return {"statusCode": 200, "body": json.dumps(event)}
"""
SIGNED = {"Authorization": "AWS4-HMAC-SHA256 Credential=rehearsal"}


def uri(function: str) -> dict[str, Any]:
    path = "arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/"
    return {"Fn::Sub": f"{path}${{{function}.Arn}}/invocations"}


def proxy(function: str = "Echo", **properties: Any) -> dict[str, Any]:
    return {
        "Type": "AWS_PROXY",
        "IntegrationHttpMethod": "POST",
        "Uri": uri(function),
        **properties,
    }


def api(template: Cloud, code: str = ECHO, **properties: Any) -> None:
    """Adds an API with a stage, and a function that it may invoke."""
    template.function("Echo", code)
    permit(template, "Echo")
    template.add("Api", "AWS::ApiGateway::RestApi", Name="api", **properties)
    template.add("Deployed", "AWS::ApiGateway::Deployment", RestApiId=ref("Api"))
    template.add(
        "Stage",
        "AWS::ApiGateway::Stage",
        RestApiId=ref("Api"),
        DeploymentId=ref("Deployed"),
        StageName="prod",
        Variables={"mood": "good"},
    )


def permit(template: Cloud, function: str) -> None:
    template.add(
        f"Permit{function}",
        "AWS::Lambda::Permission",
        Action="lambda:InvokeFunction",
        FunctionName=arn(function),
        Principal="apigateway.amazonaws.com",
        SourceArn={"Fn::Sub": "arn:aws:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/*"},
    )


def part(template: Cloud, name: str, path_part: str, parent: str | None = None) -> str:
    above = ref(parent) if parent else arn("Api", "RootResourceId")
    return template.add(
        name, "AWS::ApiGateway::Resource", RestApiId=ref("Api"), ParentId=above, PathPart=path_part
    )


def method(template: Cloud, name: str, verb: str, at: str | None = None, **properties: Any) -> None:
    answers = properties.get("Integration", {}).get("IntegrationResponses", ())
    if answers:
        properties["MethodResponses"] = [
            {
                "StatusCode": answer["StatusCode"],
                "ResponseParameters": dict.fromkeys(answer.get("ResponseParameters", ()), True),
            }
            for answer in answers
        ]
    template.add(
        name,
        "AWS::ApiGateway::Method",
        RestApiId=ref("Api"),
        HttpMethod=verb,
        ResourceId=ref(at) if at else arn("Api", "RootResourceId"),
        **{"AuthorizationType": "NONE", "Integration": proxy(), **properties},
    )
    template.resources["Deployed"].setdefault("DependsOn", []).append(name)


def role(template: Cloud, action: str) -> None:
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": "apigateway.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    statement = {"Effect": "Allow", "Action": action, "Resource": "*"}
    template.add(
        "Caller",
        "AWS::IAM::Role",
        AssumeRolePolicyDocument={"Statement": [trust]},
        Policies=[
            {
                "PolicyName": "p",
                "PolicyDocument": {"Version": "2012-10-17", "Statement": [statement]},
            }
        ],
    )


def service(path: str, template: str | None = None, **properties: Any) -> dict[str, Any]:
    return {
        "Type": "AWS",
        "IntegrationHttpMethod": "POST",
        "Credentials": arn("Caller"),
        "Uri": {"Fn::Sub": f"arn:aws:apigateway:${{AWS::Region}}:{path}"},
        "RequestTemplates": {"application/json": template} if template else {},
        "IntegrationResponses": [
            {"StatusCode": "200"},
            {"StatusCode": "500", "SelectionPattern": "500"},
            {
                "StatusCode": "400",
                "SelectionPattern": "4\\d{2}",
                "ResponseTemplates": {"application/json": '{"sorry": $input.json("$.__type")}'},
            },
        ],
        **properties,
    }


# -- proxy integration --------------------------------------------------------------------


def test_the_event_has_the_request_in_format_1(template: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
    https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-rest-api.html
    """
    api(template)
    part(template, "Items", "items")
    part(template, "Item", "{id}", "Items")
    method(template, "Get", "GET", "Item")
    answer = aws(shared=True).http.request(
        "GET", "/items/a%20b?q=1&q=2", headers={"X-Tea": ["a", "b"]}
    )
    event = answer.json()
    assert answer.status == 200
    assert (event["resource"], event["path"]) == ("/items/{id}", "/items/a b")
    assert event["pathParameters"] == {"id": "a b"}
    assert event["queryStringParameters"] == {"q": "2"}
    assert event["multiValueQueryStringParameters"] == {"q": ["1", "2"]}
    assert (event["headers"]["X-Tea"], event["multiValueHeaders"]["X-Tea"]) == ("b", ["a", "b"])
    assert event["stageVariables"] == {"mood": "good"}
    assert (event["body"], event["isBase64Encoded"]) == (None, False)
    assert event["requestContext"]["path"] == "/prod/items/a%20b"
    assert event["requestContext"]["resourcePath"] == "/items/{id}"


def test_the_most_specific_method_answers(template: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html"""
    api(template)
    part(template, "Greedy", "{proxy+}")
    part(template, "Item", "item")
    method(template, "Any", "ANY", "Greedy")
    method(template, "Get", "GET", "Item")
    shop = aws(shared=True)
    found = {
        path: shop.http.request("GET", path).json()["resource"] for path in ("/item", "/a/b", "/a")
    }
    assert found == {"/item": "/item", "/a/b": "/{proxy+}", "/a": "/{proxy+}"}
    missing = shop.http.request("GET", "/")
    assert (missing.status, missing.json()) == (403, {"message": "Missing Authentication Token"})


@pytest.mark.parametrize(
    ("code", "status", "message"),
    [
        ("def handler(event, context): raise ValueError", 502, "Internal server error"),
        ("def handler(event, context): return {'status': 200}", 502, "Internal server error"),
        ("def handler(event, context): return 'x'", 502, "Internal server error"),
        (
            "def handler(event, context): return {'statusCode': 200, 'body': {}}",
            502,
            "Internal server error",
        ),
        (
            "import time\ndef handler(event, context): time.sleep(60)",
            504,
            "Endpoint request timed out",
        ),
    ],
)
def test_an_answer_that_is_none_is_an_error_of_the_api(
    template: Cloud, aws: Deploy, code: str, status: int, message: str
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/services-apigateway-errors.html
    https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html
    """
    api(template, code)
    template.resources["Echo"]["Properties"]["Timeout"] = 90
    method(template, "Get", "GET")
    answer = aws(shared=True).http.request("GET", "/")
    assert (answer.status, answer.json()["message"]) == (status, message)


def test_a_function_without_permission_is_not_invoked(template: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/services-apigateway-errors.html"""
    api(template)
    del template.resources["PermitEcho"]
    method(template, "Get", "GET")
    shop = aws(shared=True)
    assert shop.http.request("GET", "/").status == 500
    if isinstance(shop, Rehearsal):
        assert not [r for r in shop.meter.records if r.kind == "invocation"]


def test_binary_bodies_are_those_of_binary_media_types(template: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-payload-encodings-workflow.html"""
    api(template, BinaryMediaTypes=["image/*"])
    method(template, "Post", "POST")
    shop = aws(shared=True)
    event = shop.http.request(
        "POST", "/", headers={"content-type": "image/png"}, body=b"\xff"
    ).json()
    assert (event["body"], event["isBase64Encoded"]) == (base64.b64encode(b"\xff").decode(), True)
    event = shop.http.request("POST", "/", headers={"content-type": "a/b"}, body=b"x").json()
    assert (event["body"], event["isBase64Encoded"]) == ("x", False)


# -- who may call -------------------------------------------------------------------------


def test_a_method_with_iam_takes_signed_requests_only(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/permissions.html"""
    api(template)
    method(template, "Get", "GET", AuthorizationType="AWS_IAM")
    shop = rehearse()
    assert shop.http.request("GET", "/").status == 403
    assert shop.http.request("GET", "/", headers=SIGNED).status == 200


def test_a_user_pool_admits_its_tokens(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-integrate-with-cognito.html
    https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-control-access-to-api.html
    """
    api(template)
    template.add("Pool", "AWS::Cognito::UserPool")
    template.add("Client", "AWS::Cognito::UserPoolClient", UserPoolId=ref("Pool"))
    template.add(
        "Authorizer",
        "AWS::ApiGateway::Authorizer",
        RestApiId=ref("Api"),
        Name="a",
        Type="COGNITO_USER_POOLS",
        ProviderARNs=[arn("Pool")],
        IdentitySource="method.request.header.Authorization",
    )
    method(
        template,
        "Get",
        "GET",
        AuthorizationType="COGNITO_USER_POOLS",
        AuthorizerId=ref("Authorizer"),
    )
    shop = rehearse()
    answer = shop.http.request("GET", "/")
    assert (answer.status, answer.json()) == (401, {"message": "Unauthorized"})
    headers = {"Authorization": shop.token("ann")}
    event = shop.http.request("GET", "/", headers=headers).json()
    assert event["requestContext"]["authorizer"]["claims"]["sub"] == "ann"


GUARD = """
def handler(event, context):
    if event["authorizationToken"] == "none":
        raise Exception("Unauthorized")
    if event["authorizationToken"] == "broken":
        return {}
    effect = {"yes": "Allow", "no": "Deny"}.get(event["authorizationToken"])
    statement = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": event["methodArn"]}
    return {
        "principalId": "ann",
        "policyDocument": {"Statement": [statement] if effect else []},
        "context": {"age": 7},
    }
"""


def guarded(template: Cloud, **properties: Any) -> None:
    api(template)
    template.function("Guard", GUARD)
    permit(template, "Guard")
    template.add(
        "Authorizer",
        "AWS::ApiGateway::Authorizer",
        RestApiId=ref("Api"),
        Name="a",
        **{
            "Type": "TOKEN",
            "AuthorizerUri": uri("Guard"),
            "IdentitySource": "method.request.header.Authorization",
            **properties,
        },
    )
    method(template, "Get", "GET", AuthorizationType="CUSTOM", AuthorizerId=ref("Authorizer"))


@pytest.mark.parametrize(
    ("token", "status", "message"),
    [
        ("yes", 200, None),
        ("no", 403, "User is not authorized to access this resource with an explicit deny"),
        ("maybe", 403, "User is not authorized to access this resource"),
        ("none", 401, "Unauthorized"),
        ("broken", 500, None),
        ("", 401, "Unauthorized"),
    ],
)
def test_a_function_decides(
    template: Cloud, aws: Deploy, token: str, status: int, message: str | None
) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-use-lambda-authorizer.html"""
    guarded(template)
    answer = aws(shared=True).http.request("GET", "/", headers={"authorization": token})
    assert answer.status == status
    body = answer.json()
    assert body.get("message", body.get("Message")) == message
    if status == 200:
        assert body["requestContext"]["authorizer"] == {"principalId": "ann", "age": "7"}


@pytest.mark.parametrize(("ttl_s", "asked"), [(300, 2), (0, 3)])
def test_a_decision_is_kept_for_a_while(
    template: Cloud, rehearse: Rehearse, ttl_s: int, asked: int
) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-use-lambda-authorizer.html"""
    guarded(template, AuthorizerResultTtlInSeconds=ttl_s)
    shop = rehearse()
    for pause in (0, 200, 200):
        shop.run_for(pause)
        assert shop.http.request("GET", "/", headers={"Authorization": "yes"}).status == 200
    assert len([r for r in shop.meter.records if r.target == "Shop/Guard"]) == asked


def test_an_authorizer_needs_the_permission_of_its_function(template: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/configure-api-gateway-lambda-authorization.html"""
    guarded(template)
    del template.resources["PermitGuard"]
    answer = aws(shared=True).http.request("GET", "/", headers={"authorization": "yes"})
    assert (answer.status, answer.json()) == (500, {"message": None})


@pytest.mark.parametrize(
    ("action", "status"), [("lambda:InvokeFunction", 200), ("lambda:GetFunction", 500)]
)
def test_a_role_takes_the_place_of_the_permission(
    template: Cloud, aws: Deploy, action: str, status: int
) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/permissions.html"""
    role(template, action)
    guarded(template, AuthorizerCredentials=arn("Caller"))
    del template.resources["PermitGuard"]
    template.function("Other", ECHO)
    part(template, "Open", "open")
    integration = proxy("Other", Credentials=arn("Caller"))
    method(template, "GetOpen", "GET", "Open", Integration=integration)
    shop = aws(shared=True)
    answers = [shop.http.request("GET", "/open")]
    answers.append(shop.http.request("GET", "/", headers={"authorization": "yes"}))
    assert [answer.status for answer in answers] == [status, status]


def test_a_method_with_the_credentials_of_the_caller_needs_no_permission(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/api/API_Integration.html"""
    api(template)
    del template.resources["PermitEcho"]
    integration = proxy(Credentials="arn:aws:iam::*:user/*")
    method(template, "Get", "GET", AuthorizationType="AWS_IAM", Integration=integration)
    signed = {"authorization": "AWS4-HMAC-SHA256 Credential=x"}
    assert rehearse().http.request("GET", "/", headers=signed).status == 200


def test_a_role_that_the_api_cannot_assume_is_of_no_use(template: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/permissions.html"""
    api(template)
    template.role("Caller")
    template.table("Table")
    call = service("dynamodb:action/Scan", '{"TableName": "x"}')
    method(template, "Scan", "POST", Integration=call)
    method(template, "Invoke", "GET", Integration=proxy(Credentials=arn("Caller")))
    shop = aws(shared=True)
    answers = [shop.http.request(verb, "/") for verb in ("POST", "GET")]
    assert [answer.status for answer in answers] == [500, 500]
    assert answers[0].json() == {"message": "Internal server error"}


def test_a_key_counts_against_its_plan(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-api-usage-plans.html
    https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-request-throttling.html
    """
    api(template)
    method(template, "Get", "GET", ApiKeyRequired=True)
    template.add("Key", "AWS::ApiGateway::ApiKey", Enabled=True, Value="k" * 20)
    template.add("Other", "AWS::ApiGateway::ApiKey", Enabled=True, Value="o" * 20)
    template.add(
        "Plan",
        "AWS::ApiGateway::UsagePlan",
        ApiStages=[{"ApiId": ref("Api"), "Stage": ref("Stage")}],
        Quota={"Limit": 3, "Period": "DAY"},
        Throttle={"RateLimit": 1, "BurstLimit": 2},
    )
    template.add(
        "Uses",
        "AWS::ApiGateway::UsagePlanKey",
        KeyId=ref("Key"),
        KeyType="API_KEY",
        UsagePlanId=ref("Plan"),
    )
    shop = rehearse()

    def get(key: str, after: float = 0) -> tuple[int, str | None]:
        shop.run_for(after)
        answer = shop.http.request("GET", "/", headers={"X-Api-Key": key} if key else {})
        return answer.status, answer.json().get("message")

    assert get("") == get("x") == get("o" * 20) == (403, "Forbidden")
    assert [get("k" * 20)[0] for _ in range(2)] == [200, 200]
    assert get("k" * 20) == (429, "Too Many Requests")
    assert get("k" * 20, after=1)[0] == 200
    assert get("k" * 20, after=1) == (429, "Limit Exceeded")
    assert get("k" * 20, after=86_400)[0] == 200


# -- validation ---------------------------------------------------------------------------


def test_parameters_and_body_are_validated(template: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-method-request-validation.html"""
    api(template)
    template.add(
        "Check",
        "AWS::ApiGateway::RequestValidator",
        RestApiId=ref("Api"),
        ValidateRequestBody=True,
        ValidateRequestParameters=True,
    )
    template.add(
        "Order",
        "AWS::ApiGateway::Model",
        RestApiId=ref("Api"),
        ContentType="application/json",
        Schema={"type": "object", "required": ["sku"]},
    )
    method(
        template,
        "Post",
        "POST",
        RequestValidatorId=ref("Check"),
        RequestModels={"application/json": ref("Order")},
        RequestParameters={
            "method.request.querystring.shop": True,
            "method.request.header.X-Any": False,
        },
    )
    shop = aws(shared=True)
    answers = [
        shop.http.request("POST", path, body=body)
        for path, body in (
            ("/", {"sku": 1}),
            ("/?shop=1", {}),
            ("/?shop=1", "x"),
            ("/?shop=1", {"sku": 1}),
        )
    ]
    assert [answer.status for answer in answers] == [400, 400, 400, 200]
    assert answers[0].json() == {"message": "Missing required request parameters: [shop]"}
    assert answers[1].json() == {"message": "Invalid request body"}


# -- other integrations -------------------------------------------------------------------


def test_a_mock_answers_a_preflight_request(template: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/how-to-mock-integration.html
    https://docs.aws.amazon.com/apigateway/latest/developerguide/request-response-data-mappings.html
    """
    api(template)
    method(
        template,
        "Options",
        "OPTIONS",
        Integration={
            "Type": "MOCK",
            "RequestTemplates": {
                "application/json": "{ statusCode: 200 }".replace("statusCode", '"statusCode"')
            },
            "IntegrationResponses": [
                {
                    "StatusCode": "204",
                    "ResponseParameters": {
                        "method.response.header.Access-Control-Allow-Origin": "'*'"
                    },
                }
            ],
        },
    )
    answer = aws(shared=True).http.request("OPTIONS", "/")
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (204, "*")


def test_a_request_becomes_a_message(template: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-mapping-template-reference.html
    https://docs.aws.amazon.com/apigateway/latest/developerguide/integration-request-basic-setup.html
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-making-api-requests-xml.html
    """
    api(template)
    template.queue("Queue")
    role(template, "sqs:SendMessage")
    sends = "Action=SendMessage&MessageBody=$util.urlEncode($input.body)"
    sends += "&MessageAttribute.1.Name=shop&MessageAttribute.1.Value.DataType=String"
    sends += "&MessageAttribute.1.Value.StringValue=$input.params('shop')"
    method(
        template,
        "Post",
        "POST",
        Integration=service(
            "sqs:path/${AWS::AccountId}/${Queue.QueueName}",
            sends,
            RequestParameters={
                "integration.request.header.Content-Type": "'application/x-www-form-urlencoded'"
            },
        ),
    )
    shop = aws(shared=True)
    answer = shop.http.request("POST", "/?shop=a", body={"a b": "&"})
    (message,) = shop.messages("Shop/Queue")
    assert json.loads(message["body"]) == {"a b": "&"}
    assert message["attributes"] == {"shop": "a"}
    sent = answer.json()["SendMessageResponse"]["SendMessageResult"]["MessageId"]
    assert sent == message["message_id"]


def test_a_request_becomes_an_item_an_event_a_record_and_an_execution(
    template: Cloud, aws: Deploy
) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-mapping-template-reference.html"""
    api(template)
    template.table("Table")
    template.add("Stream", "AWS::Kinesis::Stream", ShardCount=1)
    template.queue("Heard")
    template.rule("Rule", {"source": ["api"]}, {"Arn": arn("Heard")})
    del template.resources["Rule"]["Properties"]["EventBusName"]
    role(template, "*")
    for name, path, mapping in (
        (
            "item",
            "dynamodb:action/PutItem",
            '{"TableName": "${Table}", "Item": {"pk": {"S": "$input.path(\'$.id\')"}}}',
        ),
        (
            "record",
            "kinesis:action/PutRecord",
            '{"StreamName": "${Stream}", "PartitionKey": "a", "Data": '
            "\"$util.base64Encode($input.json('$.id'))\"}",
        ),
        (
            "event",
            "events:action/PutEvents",
            '{"Entries": [{"Source": "api", "DetailType": "d", "Detail": '
            "\"$util.escapeJavaScript($input.json('$'))\"}]}",
        ),
    ):
        part(template, name.title(), name)
        method(
            template,
            f"Post{name}",
            "POST",
            name.title(),
            Integration={
                **service(path),
                "RequestTemplates": {"application/json": {"Fn::Sub": mapping}},
            },
        )
    shop = aws(shared=True)
    answers = {
        name: shop.http.request("POST", f"/{name}", body={"id": "x"})
        for name in ("item", "record", "event")
    }
    shop.run_until_idle()
    assert {name: answer.status for name, answer in answers.items()} == dict.fromkeys(answers, 200)
    items = shop.client("dynamodb").scan(TableName=shop.physical_id("Shop/Table"))["Items"]
    assert items == [{"pk": {"S": "x"}}]
    assert "SequenceNumber" in answers["record"].json()
    (message,) = shop.messages("Shop/Heard")
    assert json.loads(message["body"])["detail"] == {"id": "x"}


def test_a_call_that_is_refused_is_mapped_by_its_status(template: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-integration-settings-integration-response.html"""
    api(template)
    template.table("Table")
    role(template, "dynamodb:GetItem")
    method(
        template,
        "Post",
        "POST",
        Integration=service("dynamodb:action/PutItem", '{"TableName": "x", "Item": {}}'),
    )
    method(
        template,
        "Put",
        "PUT",
        Integration=service(
            "dynamodb:action/GetItem", '{"TableName": "x", "Key": {"pk": {"S": "1"}}}'
        ),
    )
    shop = aws(shared=True)
    denied, unknown = (shop.http.request(verb, "/") for verb in ("POST", "PUT"))
    assert (denied.status, denied.json()) == (400, {"sorry": "AccessDeniedException"})
    assert (unknown.status, unknown.json()) == (400, {"sorry": "ResourceNotFoundException"})


DOUBLE = """
def handler(event, context):
    if event["n"] < 0:
        raise ValueError("[bad] n")
    return event["n"] * 2
"""
SIZES = '#set($n = $input.path("$"))#if($n > 5){"many": $n}#else{"few": $n}#end'


@pytest.mark.parametrize(
    ("behaviour", "kind", "status"),
    [
        ("WHEN_NO_MATCH", "text/plain", 200),
        ("WHEN_NO_TEMPLATES", "text/plain", 415),
        ("NEVER", "text/plain", 415),
        ("NEVER", "application/json", 200),
    ],
)
def test_a_body_without_a_template_passes_or_is_refused(
    template: Cloud, aws: Deploy, behaviour: str, kind: str, status: int
) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/integration-passthrough-behaviors.html"""
    api(template, "def handler(event, context): return event")
    integration = {
        **proxy(),
        "Type": "AWS",
        "PassthroughBehavior": behaviour,
        "RequestTemplates": {"application/json": "1"},
        "IntegrationResponses": [{"StatusCode": "200"}],
    }
    method(template, "Post", "POST", Integration=integration)
    answer = aws(shared=True).http.request("POST", "/", headers={"content-type": kind}, body="2")
    assert answer.status == status
    if status == 200:
        assert answer.json() == (1 if kind == "application/json" else 2)


def test_a_function_behind_mapping_templates(template: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-integration-settings-integration-response.html"""
    api(
        template,
        DOUBLE,
    )
    method(
        template,
        "Post",
        "POST",
        Integration={
            "Type": "AWS",
            "Uri": uri("Echo"),
            "IntegrationHttpMethod": "POST",
            "RequestTemplates": {"application/json": '{"n": $input.json("$.number")}'},
            "IntegrationResponses": [
                {
                    "StatusCode": "200",
                    "ResponseTemplates": {"application/json": SIZES},
                },
                {"StatusCode": "422", "SelectionPattern": r"\[bad\].*"},
            ],
        },
    )
    shop = aws(shared=True)
    answers = [shop.http.request("POST", "/", body={"number": n}) for n in (1, 3, -1)]
    assert [answer.status for answer in answers] == [200, 200, 422]
    assert [answer.json() for answer in answers[:2]] == [{"few": 2}, {"many": 6}]


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"Type": "HTTP_PROXY", "Uri": "https://x.org"}, "Type = 'HTTP_PROXY'"),
        (
            {"Type": "AWS", "Uri": "arn:aws:apigateway:eu-central-1:translate:action/T"},
            "does not know integrations such as arn:aws:apigateway:eu-central-1:translate",
        ),
        (
            {"Type": "AWS", "Uri": "arn:aws:apigateway:eu-central-1:sqs:path/1/q"},
            "needs a role: Credentials",
        ),
        ({"RequestTemplates": {"a/b": "#parse('x')"}}, "does not know #parse"),
        ({"TimeoutInMillis": 60_000}, "TimeoutInMillis is from 50 to 29000"),
    ],
)
def test_an_integration_that_is_not_known_is_an_error_at_load(
    template: Cloud, changed: dict[str, Any], problem: str
) -> None:
    api(template)
    method(template, "Get", "GET", Integration={**proxy(), **changed})
    (found,) = check(template.write())
    assert problem in found.problem


def test_rest_apis_are_served(template: Cloud, rehearse: Rehearse) -> None:
    api(template)
    method(template, "Get", "GET")
    shop: Rehearsal = rehearse()
    (url,) = shop.serve_apis().values()
    assert url.endswith("/prod")


# -- what a REST API shares with an HTTP API ----------------------------------------------


def test_requests_are_counted_under_the_name_of_the_api(
    template: Cloud, rehearse: Rehearse
) -> None:
    api(template)
    method(template, "Get", "GET")
    shop = rehearse()
    shop.http.request("GET", "/")
    shop.http.request("GET", "/nowhere")
    moment = shop.clock.now()
    for name, expected in (("Count", 2.0), ("4XXError", 1.0), ("5XXError", 0.0)):
        answer = shop.client("cloudwatch").get_metric_statistics(
            Namespace="AWS/ApiGateway",
            MetricName=name,
            Dimensions=[{"Name": "ApiName", "Value": "api"}, {"Name": "Stage", "Value": "prod"}],
            StartTime=moment - 3600,
            EndTime=moment + 3600,
            Period=7200,
            Statistics=["Sum"],
        )
        assert sum(point["Sum"] for point in answer["Datapoints"]) == expected


def test_the_requests_of_a_rest_api_do_not_disturb_access_logs(
    template: Cloud, rehearse: Rehearse
) -> None:
    talking = "def handler(event, context):\n    print('hello')\n    return {'statusCode': 200}"
    api(template, talking)
    template.add("Log", "AWS::Logs::LogGroup", LogGroupName="/aws/lambda/echo")
    template.resources["Echo"]["Properties"]["LoggingConfig"] = {"LogGroup": ref("Log")}
    method(template, "Get", "GET")
    shop = rehearse()
    shop.http.request("GET", "/")
    group = shop.physical_id("Shop/Log")
    events = shop.client("logs").filter_log_events(logGroupName=group)["events"]
    assert [event["message"] for event in events] == ["hello"]


@pytest.mark.parametrize(
    ("path", "verb"), [("/*", "*"), ("/~1items", "GET")], ids=["for all", "for one method"]
)
def test_the_settings_of_a_stage_limit_the_rate_of_a_method(
    template: Cloud, rehearse: Rehearse, path: str, verb: str
) -> None:
    api(template)
    part(template, "Items", "items")
    method(template, "Get", "GET", "Items")
    template.resources["Stage"]["Properties"]["MethodSettings"] = [
        {
            "ResourcePath": path,
            "HttpMethod": verb,
            "ThrottlingRateLimit": 1,
            "ThrottlingBurstLimit": 2,
        }
    ]
    shop = rehearse()
    statuses = [shop.http.request("GET", "/items").status for _ in range(3)]
    assert statuses == [200, 200, 429]
    shop.run_for(1.0)
    assert shop.http.request("GET", "/items").status == 200


def test_a_request_to_a_rest_api_may_arrive_twice(template: Cloud, rehearse: Rehearse) -> None:
    api(template)
    method(template, "Get", "GET")
    shop = rehearse()
    fault = FAULTS["sent-twice"]
    shop.faults.plan(fault, target="Shop/Echo")
    assert shop.http.request("GET", "/").status == 200
    requests = shop.meter.of("request")
    assert [record.detail.get("fault") for record in requests] == ["sent-twice", "sent-twice"]
