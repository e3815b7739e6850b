"""HTTP APIs: integrations with services, Lambda authorizers, and parameter mapping."""

from __future__ import annotations

import json
from typing import Any
from xml.etree import ElementTree

import pytest

from cdk_rehearsal import check
from rehearsal.cloud import Cloud, arn, ref
from rehearsal.conftest import Deploy, Rehearse
from rehearsal.test_http_api import ECHO, api, route, sub
from rehearsal.worlds import refused

ACTIONS = {
    "EventBridge-PutEvents": "events:PutEvents",
    "SQS-SendMessage": "sqs:SendMessage",
    "SQS-ReceiveMessage": "sqs:ReceiveMessage",
    "Kinesis-PutRecord": "kinesis:PutRecord",
    "StepFunctions-StartExecution": "states:StartExecution",
    "StepFunctions-StartSyncExecution": "states:StartSyncExecution",
}
NAMESPACE = "{http://queue.amazonaws.com/doc/2012-11-05/}"


def caller(template: Cloud, action: str, service: str = "apigateway") -> None:
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": f"{service}.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    allowed = {"Effect": "Allow", "Action": action, "Resource": "*"}
    document = {"Version": "2012-10-17", "Statement": [allowed]}
    template.add(
        "Caller",
        "AWS::IAM::Role",
        AssumeRolePolicyDocument={"Version": "2012-10-17", "Statement": [trust]},
        Policies=[{"PolicyName": "calls", "PolicyDocument": document}],
    )


def service(
    template: Cloud,
    subtype: str,
    parameters: dict[str, Any],
    *,
    key: str = "POST /calls/{id}",
    action: str | None = None,
    **properties: Any,
) -> None:
    """Adds an API with a route to a service."""
    if "Api" not in template.resources:
        api(template)
    caller(template, action or ACTIONS.get(subtype, "*"))
    template.add(
        "Call",
        "AWS::ApiGatewayV2::Integration",
        ApiId=ref("Api"),
        IntegrationType="AWS_PROXY",
        IntegrationSubtype=subtype,
        PayloadFormatVersion="1.0",
        CredentialsArn=arn("Caller"),
        RequestParameters=parameters,
        **properties,
    )
    template.add(
        "CallRoute",
        "AWS::ApiGatewayV2::Route",
        ApiId=ref("Api"),
        RouteKey=key,
        Target=sub("integrations/${Call}"),
    )


def machine(template: Cloud, kind: str, definition: dict[str, Any]) -> None:
    template.role("Works")
    template.add(
        "Machine",
        "AWS::StepFunctions::StateMachine",
        RoleArn=arn("Works"),
        StateMachineType=kind,
        DefinitionString=json.dumps(definition),
    )


class TestServices:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-aws-services-reference.html"""

    def test_a_request_becomes_an_event(self, template: Cloud, aws: Deploy) -> None:
        template.bus("Bus")
        template.add("Queue", "AWS::SQS::Queue")
        template.add(
            "Rule",
            "AWS::Events::Rule",
            EventBusName=ref("Bus"),
            EventPattern={"source": ["shop"]},
            Targets=[{"Id": "queue", "Arn": arn("Queue")}],
        )
        template.add(
            "Admit",
            "AWS::SQS::QueuePolicy",
            Queues=[ref("Queue")],
            PolicyDocument={
                "Statement": [
                    {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": arn("Queue")}
                ]
            },
        )
        parameters = {
            "Source": "shop",
            "DetailType": "kind ${request.querystring.kind} of ${request.path.id}",
            "Detail": "$request.body.detail",
            "EventBusName": arn("Bus"),
        }
        service(template, "EventBridge-PutEvents", parameters)
        shop = aws()
        body = {"detail": {"n": 1}}
        answer = shop.http.request("POST", "/calls/7?kind=a", body=body)
        assert (answer.status, answer.json()["FailedEntryCount"]) == (200, 0)
        shop.run_until_idle()
        (message,) = shop.messages("Shop/Queue")
        event = json.loads(message["body"])
        assert (event["detail-type"], event["detail"]) == ("kind a of 7", {"n": 1})

    def test_a_request_becomes_a_message(self, template: Cloud, aws: Deploy) -> None:
        template.add("Queue", "AWS::SQS::Queue")
        attributes = {
            "who": {"DataType": "String", "StringValue": "${request.header.X-Who}"},
            "where": {"DataType": "String", "StringValue": "${context.stage}"},
        }
        parameters = {
            "QueueUrl": ref("Queue"),
            "MessageBody": "$request.body",
            "MessageAttributes": json.dumps(attributes),
        }
        service(template, "SQS-SendMessage", parameters)
        shop = aws()
        answer = shop.http.request("POST", "/calls/1", headers={"X-Who": "ann"}, body={"a": 1})
        assert (answer.status, answer.headers["content-type"]) == (200, "text/xml")
        result = ElementTree.fromstring(answer.body).find(f"{NAMESPACE}SendMessageResult")
        assert result is not None
        (message,) = shop.messages("Shop/Queue")
        assert result.findtext(f"{NAMESPACE}MessageId") == message["message_id"]
        assert json.loads(message["body"]) == {"a": 1}
        received = shop.client("sqs").receive_message(
            QueueUrl=shop.physical_id("Shop/Queue"), MessageAttributeNames=["All"]
        )["Messages"][0]["MessageAttributes"]
        assert {k: v["StringValue"] for k, v in received.items()} == {
            "who": "ann",
            "where": "$default",
        }

    def test_messages_are_received(self, template: Cloud, aws: Deploy) -> None:
        """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-query-api-responses.html"""
        template.add("Queue", "AWS::SQS::Queue")
        parameters = {"QueueUrl": ref("Queue"), "MaxNumberOfMessages": "10"}
        service(template, "SQS-ReceiveMessage", parameters, key="GET /calls")
        shop = aws()
        for body in ("a", "b"):
            shop.client("sqs").send_message(
                QueueUrl=shop.physical_id("Shop/Queue"), MessageBody=body
            )
        answer = ElementTree.fromstring(shop.http.request("GET", "/calls").body)
        assert sorted(each.text or "" for each in answer.iter(f"{NAMESPACE}Body")) == ["a", "b"]

    def test_a_request_becomes_a_record(self, template: Cloud, aws: Deploy) -> None:
        template.add("Stream", "AWS::Kinesis::Stream", ShardCount=1)
        parameters = {
            "StreamName": ref("Stream"),
            "Data": "$request.body.data",
            "PartitionKey": "$request.path.id",
        }
        service(template, "Kinesis-PutRecord", parameters)
        shop = aws()
        answer = shop.http.request("POST", "/calls/1", body={"data": "aGk="})
        assert (answer.status, "SequenceNumber" in answer.json()) == (200, True)
        client = shop.client("kinesis")
        name = shop.physical_id("Shop/Stream")
        shard = client.list_shards(StreamName=name)["Shards"][0]["ShardId"]
        iterator = client.get_shard_iterator(
            StreamName=name, ShardId=shard, ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        (record,) = client.get_records(ShardIterator=iterator)["Records"]
        assert (record["Data"], record["PartitionKey"]) == (b"hi", "1")

    def test_an_execution_is_started_and_awaited(self, template: Cloud, aws: Deploy) -> None:
        passes = {"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}}
        machine(template, "EXPRESS", passes)
        parameters = {"StateMachineArn": ref("Machine"), "Input": "$request.body"}
        service(template, "StepFunctions-StartSyncExecution", parameters)
        answer = aws().http.request("POST", "/calls/1", body={"a": 1})
        assert answer.status == 200
        assert answer.json()["status"] == "SUCCEEDED"
        assert json.loads(answer.json()["output"]) == {"a": 1}

    def test_an_execution_that_takes_too_long_is_unavailable(
        self, template: Cloud, rehearse: Rehearse
    ) -> None:
        waits = {"StartAt": "A", "States": {"A": {"Type": "Wait", "Seconds": 60, "End": True}}}
        machine(template, "EXPRESS", waits)
        parameters = {"StateMachineArn": ref("Machine")}
        service(template, "StepFunctions-StartSyncExecution", parameters)
        shop = rehearse()
        began = shop.clock.now()
        assert shop.http.request("POST", "/calls/1").status == 503
        assert shop.clock.now() - began == pytest.approx(30, abs=1)

    def test_a_role_without_permission_gets_the_error_of_the_service(
        self, template: Cloud, aws: Deploy
    ) -> None:
        """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/CommonErrors.html"""
        template.add("Queue", "AWS::SQS::Queue")
        parameters = {"QueueUrl": ref("Queue"), "MessageBody": "$request.body"}
        service(template, "SQS-SendMessage", parameters, action="sqs:ReceiveMessage")
        shop = aws()
        answer = shop.http.request("POST", "/calls/1", body="x")
        error = ElementTree.fromstring(answer.body).find(f"{NAMESPACE}Error")
        assert error is not None
        assert (answer.status, error.findtext(f"{NAMESPACE}Code")) == (403, "AccessDenied")
        assert shop.messages("Shop/Queue") == []

    def test_a_role_that_the_api_may_not_assume_is_an_internal_error(
        self, template: Cloud, aws: Deploy
    ) -> None:
        template.add("Queue", "AWS::SQS::Queue")
        parameters = {"QueueUrl": ref("Queue"), "MessageBody": "$request.body"}
        service(template, "SQS-SendMessage", parameters)
        role = template.resources["Caller"]["Properties"]["AssumeRolePolicyDocument"]
        role["Statement"][0]["Principal"] = {"Service": "lambda.amazonaws.com"}
        shop = aws()
        assert shop.http.request("POST", "/calls/1", body="x").status == 500
        assert shop.messages("Shop/Queue") == []

    @pytest.mark.parametrize(
        ("subtype", "parameters", "code"),
        [
            ("SQS-SendMessage", {"MessageBody": "$request.body.none"}, "MissingParameter"),
            (
                "SQS-SendMessage",
                {"MessageBody": "a", "DelaySeconds": "$request.body.delay"},
                "MissingParameter",
            ),
            ("Kinesis-PutRecord", {"Data": "$request.body.delay"}, "ValidationException"),
        ],
    )
    def test_a_value_that_the_service_cannot_take_is_a_bad_request(
        self,
        template: Cloud,
        aws: Deploy,
        subtype: str,
        parameters: dict[str, str],
        code: str,
    ) -> None:
        template.add("Queue", "AWS::SQS::Queue")
        template.add("Stream", "AWS::Kinesis::Stream", ShardCount=1)
        where: dict[str, Any] = {"QueueUrl": ref("Queue")}
        if subtype == "Kinesis-PutRecord":
            where = {"StreamName": ref("Stream"), "PartitionKey": "a"}
        service(template, subtype, {**where, **parameters})
        answer = aws().http.request("POST", "/calls/1", body={"delay": "soon!"})
        assert (answer.status, code in answer.body) == (400, True)

    @pytest.mark.parametrize(
        ("subtype", "parameters", "problem"),
        [
            ("SQS-SendMessage", {"MessageBody": "a"}, "SendMessage needs QueueUrl"),
            (
                "SQS-SendMessage",
                {"QueueUrl": "u", "MessageBody": "a", "Colour": "red"},
                "does not take Colour",
            ),
            (
                "SQS-SendMessage",
                {"QueueUrl": "u", "MessageBody": "$request.cookie.a"},
                "does not know the value $request.cookie.a",
            ),
            (
                "SQS-SendMessage",
                {"QueueUrl": "u", "MessageBody": "$request.body..a"},
                "$..a",
            ),
            (
                "SQS-SendMessage",
                {"QueueUrl": "u", "MessageBody": "a", "Region": "us-east-1"},
                "Region = us-east-1",
            ),
            ("AppConfig-GetConfiguration", {}, "AppConfig-GetConfiguration"),
        ],
    )
    def test_what_aws_or_the_rehearsal_does_not_take_is_a_problem(
        self, template: Cloud, subtype: str, parameters: dict[str, str], problem: str
    ) -> None:
        service(template, subtype, parameters)
        (found,) = check(template.write())
        assert problem in found.problem
        assert "Call (" in found.where

    def test_an_integration_with_a_service_needs_a_role(self, template: Cloud) -> None:
        service(template, "EventBridge-PutEvents", {})
        del template.resources["Call"]["Properties"]["CredentialsArn"]
        assert any("CredentialsArn is missing" in str(each) for each in check(template.write()))


# -- Lambda authorizers -------------------------------------------------------------------

SIMPLE = """
def handler(event, context):
    print(event["identitySource"])
    token = (event["identitySource"] or ["none"])[0]
    if token == "unknown":
        raise Exception("Unauthorized")
    return {"isAuthorized": token == "good", "context": {"who": token, "n": 1}}
"""
POLICY = """
def handler(event, context):
    return {
        "principalId": event["identitySource"],
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow" if event["authorizationToken"] == "good" else "Deny",
                    "Action": "execute-api:Invoke",
                    "Resource": event["methodArn"],
                }
            ],
        },
        "context": {"n": 1},
    }
"""


def guarded(template: Cloud, code: str, *, simple: bool = True, **properties: Any) -> None:
    """Adds an API with a route whose authorizer is a function."""
    api(template)
    template.function("Echo", ECHO)
    template.function("Guard", code)
    template.permission(
        "PermitGuard",
        arn("Guard"),
        "apigateway.amazonaws.com",
        SourceArn=sub(
            "arn:aws:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/authorizers/${Custom}"
        ),
    )
    path = sub("arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/")
    template.add(
        "Custom",
        "AWS::ApiGatewayV2::Authorizer",
        **{
            "ApiId": ref("Api"),
            "Name": "custom",
            "AuthorizerType": "REQUEST",
            "AuthorizerUri": {"Fn::Join": ["", [path, arn("Guard"), "/invocations"]]},
            "AuthorizerPayloadFormatVersion": "2.0" if simple else "1.0",
            "IdentitySource": ["$request.header.Authorization"],
            **({"EnableSimpleResponses": True} if simple else {}),
            **properties,
        },
    )
    for key in ("GET /items/{id}", "GET /others"):
        route(template, key, "Echo", AuthorizationType="CUSTOM", AuthorizerId=ref("Custom"))


class TestLambdaAuthorizer:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-lambda-authorizer.html"""

    @pytest.mark.parametrize(
        ("token", "status"), [("good", 200), ("bad", 403), ("unknown", 401), (None, 401)]
    )
    def test_a_simple_answer_decides(
        self, template: Cloud, aws: Deploy, token: str | None, status: int
    ) -> None:
        guarded(template, SIMPLE)
        headers = {"Authorization": token} if token else {}
        answer = aws().http.request("GET", "/items/1", headers=headers)
        assert answer.status == status
        if status == 200:
            context = answer.json()["requestContext"]["authorizer"]
            assert context == {"lambda": {"who": "good", "n": 1}}

    @pytest.mark.parametrize(("token", "status"), [("good", 200), ("bad", 403)])
    def test_a_policy_decides(self, template: Cloud, aws: Deploy, token: str, status: int) -> None:
        guarded(template, POLICY, simple=False)
        answer = aws().http.request("GET", "/items/1", headers={"Authorization": token})
        assert answer.status == status
        if status == 200:
            passed = answer.json()["requestContext"]["authorizer"]["lambda"]
            assert passed == {"principalId": "good", "n": 1}

    def test_the_event_says_what_is_asked_for(self, template: Cloud, aws: Deploy) -> None:
        code = "def handler(event, context): return {'isAuthorized': True, 'context': {'e': event}}"
        guarded(template, code)
        answer = aws().http.request(
            "GET", "/items/1?a=b", headers={"Authorization": "x"}, body="not for authorizers"
        )
        event = answer.json()["requestContext"]["authorizer"]["lambda"]["e"]
        assert event["type"] == "REQUEST"
        assert event["routeArn"].endswith("/$default/GET/items/1")
        assert event["identitySource"] == ["x"]
        assert event["pathParameters"] == {"id": "1"}
        assert "body" not in event

    @pytest.mark.parametrize(
        "code",
        [
            "def handler(event, context): raise ValueError('secret')",
            "def handler(event, context): return 'yes'",
            "def handler(event, context): return {'isAuthorized': 'yes'}",
        ],
    )
    def test_an_authorizer_that_fails_is_an_internal_error(
        self, template: Cloud, aws: Deploy, code: str
    ) -> None:
        guarded(template, code)
        answer = aws().http.request("GET", "/items/1", headers={"Authorization": "good"})
        assert (answer.status, answer.body) == (500, '{"message":"Internal Server Error"}')

    def test_a_function_that_does_not_admit_the_api_is_an_internal_error(
        self, template: Cloud, aws: Deploy
    ) -> None:
        guarded(template, SIMPLE)
        del template.resources["PermitGuard"]
        shop = aws()
        assert shop.http.request("GET", "/others", headers={"Authorization": "good"}).status == 500

    @pytest.mark.parametrize(
        ("sources", "ttl_s", "calls"),
        [
            (["$request.header.Authorization"], 0, 3),
            (["$request.header.Authorization"], 300, 1),
            (["$request.header.Authorization", "$context.routeKey"], 300, 2),
        ],
        ids=["no cache", "one for the API", "one for each route"],
    )
    def test_answers_are_cached_by_identity(
        self, template: Cloud, aws: Deploy, sources: list[str], ttl_s: int, calls: int
    ) -> None:
        guarded(template, SIMPLE, IdentitySource=sources, AuthorizerResultTtlInSeconds=ttl_s)
        shop = aws()
        for path in ("/items/1", "/items/2", "/others"):
            headers = {"Authorization": "good"}
            assert shop.http.request("GET", path, headers=headers).status == 200
        assert len(shop.logs("Shop/Guard").splitlines()) == calls

    def test_a_cached_answer_expires(self, template: Cloud, rehearse: Rehearse) -> None:
        guarded(template, SIMPLE, AuthorizerResultTtlInSeconds=60)
        shop = rehearse()
        for _ in range(2):
            shop.http.request("GET", "/others", headers={"Authorization": "good"})
            shop.run_for(61)
        assert len(shop.logs("Shop/Guard").splitlines()) == 2

    @pytest.mark.parametrize("stated", [True, False])
    def test_without_identity_sources_the_function_sees_each_request(
        self, template: Cloud, aws: Deploy, stated: bool
    ) -> None:
        guarded(template, SIMPLE, IdentitySource=[])
        if not stated:
            del template.resources["Custom"]["Properties"]["IdentitySource"]
        shop = aws()
        assert shop.http.request("GET", "/others").status == 403
        assert shop.logs("Shop/Guard")

    @pytest.mark.parametrize(
        ("properties", "problem"),
        [
            ({"AuthorizerPayloadFormatVersion": "1.0"}, "needs AuthorizerPayloadFormatVersion 2.0"),
            (
                {"IdentitySource": [], "AuthorizerResultTtlInSeconds": 10},
                "needs an IdentitySource",
            ),
            ({"IdentitySource": ["$request.body"]}, "IdentitySource cannot be $request.body"),
            ({"IdentitySource": ["$request.cookie.a"]}, "IdentitySource cannot be"),
        ],
    )
    def test_what_api_gateway_refuses_is_a_problem(
        self, template: Cloud, aws: Deploy, properties: dict[str, Any], problem: str
    ) -> None:
        guarded(template, SIMPLE, **properties)
        with refused(problem):
            aws()


# -- parameter mapping --------------------------------------------------------------------


def mapped(template: Cloud, code: str, **properties: Any) -> None:
    api(template)
    template.function("Echo", code)
    route(template, "ANY /items/{id}", "Echo", open_=True)
    (name,) = (each for each in template.resources if each.startswith("Integration"))
    template.resources[name]["Properties"] |= properties


class TestMapping:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-parameter-mapping.html"""

    def test_requests_are_changed(self, template: Cloud, aws: Deploy) -> None:
        changes = {
            "append:header.x-list": "$request.querystring.q",
            "overwrite:header.x-id": "item-${request.path.id}",
            "remove:header.x-secret": "''",
            "overwrite:querystring.q": "$context.httpMethod",
            "append:querystring.other": "$request.header.x-list",
            "overwrite:path": "/other/${request.path.id}",
        }
        mapped(template, ECHO, RequestParameters=changes)
        headers = {"X-List": "a", "X-Secret": "s"}
        answer = aws().http.request("GET", "/items/7?q=b", headers=headers)
        event = answer.json()
        assert (event["headers"]["x-list"], event["headers"]["x-id"]) == ("a,b", "item-7")
        assert "x-secret" not in event["headers"]
        assert event["queryStringParameters"] == {"q": "GET", "other": "a"}
        assert event["rawQueryString"] == "q=GET&other=a"
        assert event["rawPath"] == "/other/7"

    def test_answers_are_changed_by_their_status(self, template: Cloud, aws: Deploy) -> None:
        code = (
            "def handler(event, context):\n"
            "    status = event['queryStringParameters']['s']\n"
            "    return {'statusCode': int(status), 'headers': {'x-a': 'a'}, 'body': '{\"n\": 1}'}"
        )
        changes = [
            {"Destination": "overwrite:statuscode", "Source": "202"},
            {"Destination": "append:header.x-a", "Source": "$response.body.n"},
            {"Destination": "overwrite:header.x-b", "Source": "was ${response.header.x-a}"},
        ]
        mapped(template, code, ResponseParameters={"200": {"ResponseParameters": changes}})
        http = aws().http
        changed = http.request("GET", "/items/1?s=200")
        assert (changed.status, changed.headers["x-a"]) == (202, "a,1")
        assert changed.headers["x-b"] == "was a"
        kept = http.request("GET", "/items/1?s=201")
        assert (kept.status, kept.headers["x-a"], "x-b" in kept.headers) == (201, "a", False)

    @pytest.mark.parametrize(
        ("key", "source", "problem"),
        [
            ("overwrite:header.Authorization", "x", "is reserved"),
            ("overwrite:header.x-amzn-a", "x", "is reserved"),
            ("replace:header.a", "x", "does not know the mapping replace:header.a"),
            ("overwrite:header.a", "$response.header.a", "does not know the value"),
        ],
    )
    def test_a_mapping_that_api_gateway_refuses_is_a_problem(
        self, template: Cloud, key: str, source: str, problem: str
    ) -> None:
        mapped(template, ECHO, RequestParameters={key: source})
        (found,) = check(template.write())
        assert problem in found.problem


def test_an_alias_of_a_function_answers_each_request_with_a_version_by_weight(
    template: Cloud, aws: Deploy
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/configuration-aliases.html"""
    api(template)
    template.function("Echo", "def handler(event, context): return context.function_version")
    template.add("Version", "AWS::Lambda::Version", FunctionName=ref("Echo"))
    template.add(
        "Live",
        "AWS::Lambda::Alias",
        FunctionName=ref("Echo"),
        FunctionVersion=arn("Version", "Version"),
        Name="live",
    )
    route(template, "GET /", "Echo", open_=True)
    (name,) = (each for each in template.resources if each.startswith("Integration"))
    (permission,) = (each for each in template.resources if each.startswith("Permission"))
    template.resources[name]["Properties"]["IntegrationUri"] = ref("Live")
    template.resources[permission]["Properties"]["FunctionName"] = ref("Live")
    shop = aws()
    client, echo = shop.client("lambda"), shop.physical_id("Shop/Echo")
    assert shop.http.request("GET", "/").body == "1"
    client.update_function_configuration(
        FunctionName=echo, Environment={"Variables": {"RELEASE": "2"}}
    )
    client.get_waiter("function_updated_v2").wait(FunctionName=echo)
    client.publish_version(FunctionName=echo)
    routing = {"AdditionalVersionWeights": {"2": 0.5}}
    client.update_alias(FunctionName=echo, Name="live", RoutingConfig=routing)
    answers = [shop.http.request("GET", "/").body for _ in range(40)]
    assert 8 <= answers.count("2") <= 32
    assert {*answers} == {"1", "2"}
