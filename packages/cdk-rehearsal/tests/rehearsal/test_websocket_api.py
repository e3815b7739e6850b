"""WebSocket APIs: connections, routes, events, authorizers, calls back, and limits."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from cdk_rehearsal import (
    FAULTS,
    Rehearsal,
    RehearsalError,
    UnsupportedTemplateError,
    WebSocket,
    WebSocketRefused,
    check,
)
from rehearsal.cloud import Cloud, arn, ref
from rehearsal.conftest import Rehearse
from rehearsal.crossing import crosses
from rehearsal.test_rest_api import permit, uri

ECHO = """
import json
def handler(event, context):
    print(json.dumps(event))
    return {"statusCode": 200, "body": json.dumps(event)}
"""
CALLS_BACK = """
import json, os
import boto3
from botocore.exceptions import ClientError

def handler(event, context):
    about = event["requestContext"]
    endpoint = f"https://{about['domainName']}/{about['stage']}"
    api = boto3.client("apigatewaymanagementapi", endpoint_url=endpoint)
    asked = json.loads(event.get("body") or "{}")
    try:
        call = asked.get("call", "post_to_connection")
        data = {"Data": asked.get("data", "hello")} if call == "post_to_connection" else {}
        getattr(api, call)(ConnectionId=asked.get("to", about["connectionId"]), **data)
    except ClientError as error:
        print(error.response["Error"]["Code"], error)
    return {"statusCode": 200}
"""


def api(template: Cloud, code: str = ECHO, **properties: Any) -> None:
    """Adds an API with a stage, and a function that it may invoke."""
    template.function("Echo", code)
    permit(template, "Echo")
    template.add(
        "Api",
        "AWS::ApiGatewayV2::Api",
        Name="chat",
        ProtocolType="WEBSOCKET",
        **{"RouteSelectionExpression": "$request.body.action", **properties},
    )
    template.add(
        "Stage", "AWS::ApiGatewayV2::Stage", ApiId=ref("Api"), StageName="prod", AutoDeploy=True
    )


def route(
    template: Cloud,
    key: str,
    *,
    function: str | None = "Echo",
    integration: dict[str, Any] | None = None,
    **properties: Any,
) -> None:
    """Adds a route, by default to the function."""
    number = len(template.resources)
    target: dict[str, Any] = {}
    if function is not None or integration is not None:
        usual = {"IntegrationType": "AWS_PROXY", "IntegrationUri": uri(function or "Echo")}
        template.add(
            f"Integration{number}",
            "AWS::ApiGatewayV2::Integration",
            ApiId=ref("Api"),
            **(integration or usual),
        )
        target = {"Target": {"Fn::Sub": f"integrations/${{Integration{number}}}"}}
    template.add(
        f"Route{number}",
        "AWS::ApiGatewayV2::Route",
        ApiId=ref("Api"),
        RouteKey=key,
        **target,
        **properties,
    )


ANSWERS: dict[str, Any] = {"RouteResponseSelectionExpression": "$default"}


def chat(template: Cloud, rehearse: Rehearse, *keys: str, code: str = ECHO) -> Rehearsal:
    """An API whose routes answer with their event."""
    api(template, code)
    for key in keys:
        route(template, key, **ANSWERS)
    return rehearse()


def events(shop: Rehearsal, function: str = "Shop/Echo") -> list[dict[str, Any]]:
    """The events of the invocations so far."""
    shop.run_until_idle()
    return [json.loads(line) for line in shop.logs(function).splitlines()]


def answer(socket: WebSocket, message: Any) -> Any:
    """What the client gets for a message."""
    socket.send(message)
    return json.loads(socket.receive() or "null")


# -- routes and events --------------------------------------------------------------------


def test_a_connection_invokes_connect_messages_and_disconnect(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-route-keys-connect-disconnect.html
    https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-mapping-template-reference.html
    https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-overview.html
    """
    shop = chat(template, rehearse, "$connect", "$disconnect", "$default")
    socket = shop.connect("/?user=1&user=2", headers={"X-Tea": ["a", "b"]})
    socket.send("hello")
    shop.run_until_idle()
    socket.close(1000, "bye")
    connected, said, left = events(shop)
    kinds = [each["requestContext"]["eventType"] for each in (connected, said, left)]
    keys = [each["requestContext"]["routeKey"] for each in (connected, said, left)]
    assert kinds == ["CONNECT", "MESSAGE", "DISCONNECT"]
    assert keys == ["$connect", "$default", "$disconnect"]
    assert connected["multiValueQueryStringParameters"] == {"user": ["1", "2"]}
    assert connected["multiValueHeaders"]["X-Tea"] == ["a", "b"]
    assert "body" not in connected
    assert (said["body"], said["isBase64Encoded"]) == ("hello", False)
    assert {each["requestContext"]["connectionId"] for each in (connected, said, left)} == {
        socket.id
    }
    about = left["requestContext"]
    assert (about["disconnectStatusCode"], about["disconnectReason"]) == (1000, "bye")
    assert (about["stage"], about["domainName"].partition(".")[0]) == ("prod", about["apiId"])
    assert said["requestContext"]["connectedAt"] == int(socket.opened * 1000)
    assert said["requestContext"]["messageId"] != socket.id


@pytest.mark.parametrize(
    ("message", "key"),
    [
        ({"action": "send"}, "send"),
        ({"action": "other"}, "$default"),
        ({"action": 7}, "$default"),
        ({"action": "$connect"}, "$default"),
        ({}, "$default"),
        ("no JSON", "$default"),
        ('["send"]', "$default"),
    ],
)
def test_the_body_selects_the_route(
    template: Cloud, rehearse: Rehearse, message: Any, key: str
) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-develop-routes.html"""
    shop = chat(template, rehearse, "send", "$default", "$connect")
    assert answer(shop.connect(), message)["requestContext"]["routeKey"] == key


@pytest.mark.parametrize("expression", ["$request.body.a.b", "${request.body.a.b}"])
def test_a_member_of_a_member_may_select_the_route(
    template: Cloud, rehearse: Rehearse, expression: str
) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-develop-routes.html"""
    api(template, RouteSelectionExpression=expression)
    route(template, "send", **ANSWERS)
    socket = rehearse().connect()
    assert answer(socket, {"a": {"b": "send"}})["requestContext"]["routeKey"] == "send"
    assert answer(socket, {"a": "send"})["message"] == "Forbidden"


def test_a_message_without_a_route_is_forbidden(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-develop-routes.html"""
    socket = chat(template, rehearse, "send").connect()
    found = answer(socket, "hello")
    assert (found["message"], found["connectionId"]) == ("Forbidden", socket.id)
    assert socket.code is None


def test_only_a_route_with_a_response_answers(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-route-response.html"""
    api(template)
    route(template, "silent")
    route(template, "loud", **ANSWERS)
    (name,) = (
        name
        for name, each in template.resources.items()
        if each["Properties"].get("RouteKey") == "loud"
    )
    response = {"RouteId": ref(name), "RouteResponseKey": "$default"}
    template.add("Response", "AWS::ApiGatewayV2::RouteResponse", ApiId=ref("Api"), **response)
    shop = rehearse()
    socket = shop.connect()
    for action in ("silent", "loud"):
        socket.send({"action": action})
    shop.run_until_idle()
    (found,) = socket.received
    assert json.loads(found)["requestContext"]["routeKey"] == "loud"


FAILURES = [
    ("def handler(event, context): raise ValueError", 502),
    ("import time\ndef handler(event, context): time.sleep(9)", 502),
    ("def handler(event, context): return {1}", 502),
]


@pytest.mark.parametrize(("code", "status"), FAILURES)
def test_a_client_learns_that_its_message_failed(
    template: Cloud, rehearse: Rehearse, code: str, status: int
) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-logging.html"""
    shop = chat(template, rehearse, "$default", code=code)
    socket = shop.connect()
    found = answer(socket, "hello")
    assert found["message"] == "Internal server error"
    assert (found["connectionId"], len(found["requestId"])) == (socket.id, 36)
    assert shop.meter.of("request")[-1].detail["status"] == status


@pytest.mark.parametrize(
    ("code", "status"),
    [
        *FAILURES,
        ("def handler(event, context): return 'yes'", 502),
        ("def handler(event, context): return {'statusCode': 'yes'}", 502),
        ("def handler(event, context): return {'statusCode': 403}", 403),
        ("def handler(event, context): return {'statusCode': 500, 'body': 'no'}", 500),
    ],
)
def test_the_route_connect_may_refuse_a_connection(
    template: Cloud, rehearse: Rehearse, code: str, status: int
) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-route-keys-connect-disconnect.html"""
    shop = chat(template, rehearse, "$connect", "$disconnect", code=code)
    with pytest.raises(WebSocketRefused, match=f"status {status}") as refused:
        shop.connect()
    assert refused.value.status == status
    shop.run_until_idle()
    assert len(shop.meter.of("invocation")) == 1  # no $disconnect


def test_a_failure_of_disconnect_harms_nobody(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-route-keys-connect-disconnect.html"""
    shop = chat(template, rehearse, "$disconnect", code=FAILURES[0][0])
    socket = shop.connect()
    socket.close()
    shop.run_until_idle()
    assert (socket.code, socket.receive()) == (1005, None)
    with pytest.raises(RehearsalError, match="is closed"):
        socket.send("hello")


def test_the_route_connect_chooses_a_subprotocol(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-connect-route-subprotocol.html"""
    code = """
        def handler(event, context):
            asked = event["headers"]["Sec-WebSocket-Protocol"].split(", ")
            return {"statusCode": 200, "headers": {"Sec-WebSocket-Protocol": asked[-1]}}
    """
    shop = chat(template, rehearse, "$connect", code=code)
    assert shop.connect(subprotocols=["a", "b"]).subprotocol == "b"


def test_a_function_that_the_api_may_not_invoke_fails(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-integration-requests.html"""
    api(template)
    del template.resources["PermitEcho"]
    route(template, "$connect")
    shop = rehearse()
    with pytest.raises(WebSocketRefused, match="status 500"):
        shop.connect()
    assert not shop.meter.of("invocation")


def test_the_role_of_an_integration_takes_the_place_of_a_policy(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-integration-requests.html"""
    api(template)
    del template.resources["PermitEcho"]
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": "apigateway.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    may = {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": arn("Echo")}
    document = {"Version": "2012-10-17", "Statement": [may]}
    policy = {"PolicyName": "p", "PolicyDocument": document}
    template.add(
        *("Invokes", "AWS::IAM::Role"),
        AssumeRolePolicyDocument={"Statement": [trust]},
        Policies=[policy],
    )
    integration = {"IntegrationType": "AWS_PROXY", "IntegrationUri": uri("Echo")}
    with_role = {**integration, "CredentialsArn": arn("Invokes")}
    route(template, "$default", integration=with_role, **ANSWERS)
    assert answer(rehearse().connect(), "hello")["body"] == "hello"


@pytest.mark.parametrize(("status", "accepted"), [(200, True), (403, False)])
def test_a_mock_answers_without_a_function(
    template: Cloud, rehearse: Rehearse, status: int, accepted: bool
) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-mapping-templates.html"""
    api(template)
    mock = {
        "IntegrationType": "MOCK",
        "TemplateSelectionExpression": "200",
        "RequestTemplates": {"200": json.dumps({"statusCode": status})},
    }
    route(template, "$connect", integration=mock)
    shop = rehearse()
    if accepted:
        assert shop.connect().code is None
    else:
        with pytest.raises(WebSocketRefused, match="status 403"):
            shop.connect()


def calls_queue(template: Cloud, action: str = "sqs:SendMessage", **properties: Any) -> None:
    """Adds a route that sends what a template makes of a message to a queue."""
    api(template)
    template.queue("Queue")
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": "apigateway.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    may = {"Effect": "Allow", "Action": action, "Resource": arn("Queue")}
    document = {"Version": "2012-10-17", "Statement": [may]}
    template.add(
        *("Sends", "AWS::IAM::Role"),
        AssumeRolePolicyDocument={"Statement": [trust]},
        Policies=[{"PolicyName": "p", "PolicyDocument": document}],
    )
    path = "arn:aws:apigateway:${AWS::Region}:sqs:path/${AWS::AccountId}/${Queue.QueueName}"
    text = "$util.urlEncode($input.json('$.text'))"
    mapped = f"Action=SendMessage&MessageBody={text}"
    about = "&MessageAttribute.1.Name=id&MessageAttribute.1.Value.DataType=String"
    value = "&MessageAttribute.1.Value.StringValue=$context.connectionId"
    integration = {
        "IntegrationType": "AWS",
        "IntegrationMethod": "POST",
        "IntegrationUri": {"Fn::Sub": path},
        "CredentialsArn": arn("Sends"),
        "PassthroughBehavior": "NEVER",
        "RequestParameters": {
            "integration.request.header.Content-Type": "'application/x-www-form-urlencoded'"
        },
        "RequestTemplates": {"$default": mapped + about + value},
        "TemplateSelectionExpression": "\\$default",
        **properties,
    }
    route(template, "$default", integration=integration)


def test_a_route_may_call_a_service(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-mapping-templates.html"""
    calls_queue(template)
    shop = rehearse()
    socket = shop.connect()
    socket.send({"text": "hello & goodbye"})
    shop.run_until_idle()
    (found,) = shop.messages("Shop/Queue")
    assert (found["body"], found["attributes"]) == ('"hello & goodbye"', {"id": socket.id})
    assert socket.received == []


@pytest.mark.parametrize(("kind", "sent"), [("short", ["x"]), ("other", []), (None, [])])
def test_a_member_of_the_message_may_select_the_template(
    template: Cloud, rehearse: Rehearse, kind: str | None, sent: list[str]
) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-mapping-templates.html"""
    calls_queue(
        template,
        TemplateSelectionExpression="$request.body.kind",
        RequestTemplates={"short": "Action=SendMessage&MessageBody=x"},
    )
    shop = rehearse()
    socket = shop.connect()
    socket.send({"kind": kind})
    shop.run_until_idle()
    assert [each["body"] for each in shop.messages("Shop/Queue")] == sent
    said = [json.loads(each)["message"] for each in socket.received]
    assert said == ([] if sent else ["Unsupported Media Type"])


@pytest.mark.parametrize("action", ["sqs:ReceiveMessage", "sqs:*"])
def test_a_service_that_refuses_a_call_is_an_error(
    template: Cloud, rehearse: Rehearse, action: str
) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-integration-requests.html"""
    calls_queue(template, action, RequestTemplates={"$default": "Action=SendMessage"})
    shop = rehearse()
    assert answer(shop.connect(), "hello")["message"] == "Internal server error"
    assert shop.meter.of("request")[-1].detail["status"] in (400, 403)


def test_a_role_that_the_api_may_not_assume_is_an_error(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-integration-requests.html"""
    calls_queue(template)
    (trust,) = template.resources["Sends"]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    trust["Principal"] = {"Service": "lambda.amazonaws.com"}
    shop = rehearse()
    assert answer(shop.connect(), "hello")["message"] == "Internal server error"
    assert not shop.messages("Shop/Queue")


def test_stage_variables_are_in_the_event(template: Cloud, rehearse: Rehearse) -> None:
    api(template)
    template.resources["Stage"]["Properties"]["StageVariables"] = {"mood": "good"}
    route(template, "$default", **ANSWERS)
    assert answer(rehearse().connect(), "hello")["stageVariables"] == {"mood": "good"}


# -- authorization ------------------------------------------------------------------------

GUARD = """
def handler(event, context):
    token = event["headers"].get("Token")
    if token == "broken":
        raise ValueError
    if token == "unknown":
        raise Exception("Unauthorized")
    effect = "Allow" if token in ("good", "long") else "Deny"
    statement = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": event["methodArn"]}
    document = {"Version": "2012-10-17", "Statement": [statement]}
    long = "x" * 9_000 if token == "long" else "x"
    return {"principalId": "me", "policyDocument": document, "context": {"size": 1, "long": long}}
"""


def guarded(template: Cloud) -> None:
    """An API whose connections a function authorizes."""
    api(template)
    template.function("Guard", GUARD)
    permit(template, "Guard")
    template.add(
        "Authorizer",
        "AWS::ApiGatewayV2::Authorizer",
        ApiId=ref("Api"),
        Name="guard",
        AuthorizerType="REQUEST",
        AuthorizerUri=uri("Guard"),
        IdentitySource=["route.request.header.Token", "route.request.querystring.q"],
    )
    route(template, "$connect", AuthorizationType="CUSTOM", AuthorizerId=ref("Authorizer"))
    route(template, "$default", **ANSWERS)


@pytest.mark.parametrize(
    ("token", "status"),
    [(None, 401), ("bad", 403), ("unknown", 401), ("broken", 500)],
)
def test_an_authorizer_refuses_connections(
    template: Cloud, rehearse: Rehearse, token: str | None, status: int
) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-lambda-auth.html"""
    guarded(template)
    shop = rehearse()
    with pytest.raises(WebSocketRefused, match=f"status {status}"):
        shop.connect("/?q=1", headers={"Token": token} if token else {})
    assert not shop.meter.of("invocation", target="Shop/Echo")


def test_each_event_has_what_the_authorizer_passes_on(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-lambda-auth.html"""
    guarded(template)
    shop = rehearse()
    socket = shop.connect("/?q=1", headers={"Token": "good"})
    found = answer(socket, "hello")["requestContext"]["authorizer"]
    assert found == {"principalId": "me", "size": "1", "long": "x"}
    assert len(shop.meter.of("invocation", target="Shop/Guard")) == 1
    shop.connect("/?q=1", headers={"Token": "good"})
    assert len(shop.meter.of("invocation", target="Shop/Guard")) == 2  # there is no cache


@crosses("apigatewaymanagementapi.authorizer_bytes")
def test_the_answer_of_an_authorizer_may_have_eight_kilobytes(
    template: Cloud, rehearse: Rehearse
) -> None:
    guarded(template)
    with pytest.raises(WebSocketRefused, match="status 500"):
        rehearse().connect("/?q=1", headers={"Token": "long"})


def test_a_signed_connection_needs_a_permission(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-control-access-iam.html"""
    api(template)
    route(template, "$connect", AuthorizationType="AWS_IAM")
    stage = "arn:aws:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/prod"
    for name, key in (("May", "$connect"), ("MayNot", "$default")):
        resource = {"Fn::Sub": f"{stage}/{key}"}
        template.role(
            name, {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": resource}
        )
    shop = rehearse()
    roles = {name: shop.resource(f"Shop/{name}").attributes["Arn"] for name in ("May", "MayNot")}
    assert shop.connect(role=roles["May"]).code is None
    for role in (roles["MayNot"], None):
        with pytest.raises(WebSocketRefused, match="status 403"):
            shop.connect(role=role)


# -- calls back ---------------------------------------------------------------------------


def callbacks(shop: Rehearsal, stage: str = "prod") -> Any:
    """A client of the API's connections."""
    host = f"{shop.physical_id('Shop/Api')}.execute-api.{shop.region}.amazonaws.com"
    make: Any = boto3.client
    return make("apigatewaymanagementapi", endpoint_url=f"https://{host}/{stage}")


def code_of(call: Any, **parameters: Any) -> str:
    try:
        call(**parameters)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return ""


def test_a_backend_sends_to_connections(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-how-to-call-websocket-api-connections.html"""
    shop = chat(template, rehearse, "$default", code=CALLS_BACK)
    first, second = shop.connect(), shop.connect()
    first.send({"to": second.id, "data": "from the first"})
    assert second.receive() == "from the first"
    assert (first.received, first.receive(timeout_s=1)) == ([], None)
    (call,) = shop.meter.of("call")
    assert (call.target, call.detail["operation"]) == ("Shop/Api", "PostToConnection")


def test_a_connection_that_is_gone_says_so(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-how-to-call-websocket-api-connections.html"""
    shop = chat(template, rehearse, "$default", code=CALLS_BACK)
    first, second = shop.connect(), shop.connect()
    second.close()
    first.send({"to": second.id})
    shop.run_until_idle()
    assert shop.logs("Shop/Echo").startswith("GoneException")
    client = callbacks(shop)
    gone = {"ConnectionId": second.id}
    assert code_of(client.get_connection, **gone) == "GoneException"
    assert code_of(client.delete_connection, **gone) == "GoneException"
    assert code_of(client.post_to_connection, **gone, Data=b"x") == "GoneException"


def test_a_connection_is_not_there_before_connect_has_ended(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-route-keys-connect-disconnect.html"""
    shop = chat(template, rehearse, "$connect", code=CALLS_BACK)
    assert shop.connect().received == []
    assert shop.logs("Shop/Echo").startswith("GoneException")


def test_a_connection_is_of_its_api_and_stage(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-how-to-call-websocket-api-connections.html"""
    shop = chat(template, rehearse)
    known = {"ConnectionId": shop.connect().id}
    assert code_of(callbacks(shop, stage="dev").get_connection, **known) == "GoneException"
    assert code_of(callbacks(shop, stage="").get_connection, **known) == "ForbiddenException"
    assert code_of(callbacks(shop).get_connection, **known) == ""


def test_a_backend_describes_and_closes_connections(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-how-to-call-websocket-api-connections.html"""
    shop = chat(template, rehearse, "$disconnect")
    socket, client = shop.connect(), callbacks(shop)
    shop.run_for(60)
    client.post_to_connection(ConnectionId=socket.id, Data=b"hello")
    found = client.get_connection(ConnectionId=socket.id)
    assert found["Identity"] == {"SourceIp": "198.51.100.7", "UserAgent": "rehearsal"}
    assert (found["LastActiveAt"] - found["ConnectedAt"]).total_seconds() == pytest.approx(60)
    client.delete_connection(ConnectionId=socket.id)
    (left,) = events(shop)
    assert left["requestContext"]["disconnectStatusCode"] == socket.code == 1000
    assert socket.receive() == "hello"
    assert socket.receive() is None


@pytest.mark.parametrize(
    ("call", "resource", "allowed"),
    [
        ("post_to_connection", "${Api}/beta/POST/@connections/*", True),
        ("get_connection", "${Api}/beta/GET/@connections/*", True),
        ("delete_connection", "${Api}/*/DELETE/@connections/*", True),
        ("post_to_connection", "${Api}/*", True),
        ("post_to_connection", "${Api}/beta/GET/@connections/*", False),
        ("get_connection", "${Api}/beta/POST/@connections/*", False),
        ("post_to_connection", "${Api}/prod/POST/@connections/*", False),
        ("post_to_connection", "other/beta/POST/@connections/*", False),
    ],
)
def test_calls_back_need_a_permission(
    template: Cloud, rehearse: Rehearse, call: str, resource: str, allowed: bool
) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-control-access-iam.html"""
    arn_of_call = f"arn:aws:execute-api:${{AWS::Region}}:${{AWS::AccountId}}:{resource}"
    template.role(
        "Role",
        {
            "Effect": "Allow",
            "Action": "execute-api:ManageConnections",
            "Resource": {"Fn::Sub": arn_of_call},
        },
        {"Effect": "Allow", "Action": "logs:*", "Resource": "*"},
    )
    api(template, CALLS_BACK)
    template.resources["Stage"]["Properties"]["StageName"] = "beta"
    route(template, "$default")
    shop = rehearse()
    socket = shop.connect()
    socket.send({"call": call})
    shop.run_until_idle()
    (made,) = shop.meter.of("call")
    assert made.detail["error"] == (None if allowed else "AccessDeniedException")
    if not allowed:
        logged = shop.logs("Shop/Echo")
        method = call.partition("_")[0].upper()
        assert "not authorized to perform: execute-api:ManageConnections" in logged
        assert f"/beta/{method}/@connections/{socket.id}" in logged


# -- limits -------------------------------------------------------------------------------


@crosses("apigatewaymanagementapi.idle_s")
def test_a_connection_may_be_idle_for_ten_minutes(template: Cloud, rehearse: Rehearse) -> None:
    shop = chat(template, rehearse, "$default", "$disconnect")
    socket, pushed, idle = (shop.connect() for _ in range(3))
    shop.run_for(599)
    socket.send("still here")
    callbacks(shop).post_to_connection(ConnectionId=pushed.id, Data=b"you, too")
    shop.run_for(2)
    assert [each.code for each in (socket, pushed, idle)] == [None, None, 1001]
    left = events(shop)[-1]["requestContext"]
    assert (left["connectionId"], left["disconnectReason"]) == (idle.id, "Going away")
    shop.run_for(600)
    assert [each.code for each in (socket, pushed)] == [1001, 1001]


@crosses("apigatewaymanagementapi.connection_s")
def test_a_connection_lasts_two_hours(template: Cloud, rehearse: Rehearse) -> None:
    shop = chat(template, rehearse, "$default")
    socket = shop.connect()
    for _ in range(24):
        shop.run_for(299)
        socket.send("still here")
    shop.run_for(23)
    assert socket.code is None
    shop.run_for(2)
    assert socket.code == 1001


def test_an_open_connection_is_no_work_that_is_due(template: Cloud, rehearse: Rehearse) -> None:
    shop = chat(template, rehearse, "$default")
    socket, started = shop.connect(), shop.clock.now()
    shop.run_until_idle()
    assert (socket.code, shop.clock.now()) == (None, started)


@crosses("apigatewaymanagementapi.message_bytes", "apigatewaymanagementapi.frame_bytes")
@pytest.mark.parametrize(
    ("size", "frame", "code"),
    [
        (131_072, 32_768, None),
        (131_073, 32_768, 1009),
        (32_768, None, None),
        (32_769, None, 1009),
        (40_000, 32_769, 1009),
    ],
)
def test_a_message_over_a_limit_ends_the_connection(
    template: Cloud, rehearse: Rehearse, size: int, frame: int | None, code: int | None
) -> None:
    shop = chat(template, rehearse, "$default")
    socket = shop.connect()
    socket.send("x" * size, frame_bytes=frame)
    shop.run_until_idle()
    assert socket.code == code
    assert len(shop.meter.of("invocation")) == (code is None)


@crosses("apigatewaymanagementapi.message_bytes")
def test_a_backend_sends_up_to_128_kilobytes(template: Cloud, rehearse: Rehearse) -> None:
    shop = chat(template, rehearse)
    socket, client = shop.connect(), callbacks(shop)
    codes = [
        code_of(client.post_to_connection, ConnectionId=socket.id, Data=b"x" * size)
        for size in (131_072, 131_073)
    ]
    assert codes == ["", "PayloadTooLargeException"]


def test_a_binary_message_ends_the_connection(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-develop-binary-media-types.html"""
    shop = chat(template, rehearse, "$default")
    socket = shop.connect()
    socket.send(b"\x00")
    assert socket.code == 1003
    assert not shop.meter.of("invocation")


@crosses("apigatewaymanagementapi.timeout_ms")
def test_an_integration_has_29_seconds(template: Cloud, rehearse: Rehearse) -> None:
    code = """
        import json, time
        def handler(event, context):
            time.sleep(float(event["body"]))
            return {"statusCode": 200, "body": '"done"'}
    """
    api(template, code)
    template.resources["Echo"]["Properties"]["Timeout"] = 60
    route(template, "$default", **ANSWERS)
    shop = rehearse()
    socket = shop.connect()
    assert answer(socket, "28.9") == "done"
    assert answer(socket, "29.1")["message"] == "Endpoint request timed out"


@crosses("apigatewaymanagementapi.timeout_ms")
@pytest.mark.parametrize(("timeout", "problems"), [(29_000, 0), (29_001, 1)])
def test_an_integration_states_up_to_29_seconds(
    template: Cloud, timeout: int, problems: int
) -> None:
    api(template)
    integration = {"IntegrationType": "AWS_PROXY", "IntegrationUri": uri("Echo")}
    route(template, "$default", integration={**integration, "TimeoutInMillis": timeout})
    found = [each.problem for each in check(template.write())]
    assert len(found) == problems
    assert all("TimeoutInMillis is from 50 to 29000" in each for each in found)


@crosses("apigatewaymanagementapi.connections_per_second")
def test_an_account_opens_so_many_connections(template: Cloud, rehearse: Rehearse) -> None:
    shop = chat(template, rehearse)
    codes = []
    for _ in range(501):
        try:
            codes.append(shop.connect().code)
        except WebSocketRefused as refused:
            codes.append(refused.status)
    assert codes == [None] * 500 + [429]
    shop.run_for(1)
    assert shop.connect().code is None


def test_messages_and_calls_back_count_for_the_rate_of_the_account(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html"""
    api(template)
    route(template, "$default", **ANSWERS)
    shop = rehearse(quotas={"apigateway.requests_per_second": 8})  # and 4 at once
    socket, client = shop.connect(), callbacks(shop)
    known = {"ConnectionId": socket.id}
    codes = [code_of(client.get_connection, **known) for _ in range(2)]
    for _ in range(3):
        socket.send("hello")
    shop.run_until_idle()
    said = [json.loads(each).get("message") for each in socket.received]
    assert codes == ["", ""]
    assert sorted(map(str, said)) == ["None", "None", "Too Many Requests"]
    assert code_of(client.get_connection, **known) == "LimitExceededException"
    shop.run_for(1)
    assert code_of(client.get_connection, **known) == ""


def test_the_settings_of_a_stage_throttle_a_route(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-protect.html"""
    api(template)
    route(template, "$default")
    limits = {"ThrottlingRateLimit": 1, "ThrottlingBurstLimit": 2}
    template.resources["Stage"]["Properties"]["DefaultRouteSettings"] = limits
    shop = rehearse()
    socket = shop.connect()
    for _ in range(3):
        socket.send("hello")
    shop.run_until_idle()
    assert [json.loads(each)["message"] for each in socket.received] == ["Too Many Requests"]


# -- faults, logs and templates -----------------------------------------------------------


def test_faults_act_on_messages(template: Cloud, rehearse: Rehearse) -> None:
    shop = chat(template, rehearse, "$default")
    socket = shop.connect()
    shop.faults.plan(FAULTS["sent-twice"], source="Shop/Api", target="Shop/Echo")
    socket.send("hello")
    shop.run_until_idle()
    assert len(shop.meter.of("invocation", target="Shop/Echo")) == 2
    shop.faults.plan(FAULTS["throttled"], target="Shop/Echo")
    socket.send("again")
    shop.run_until_idle()
    assert json.loads(socket.received[-1])["message"] == "Internal server error"


def test_the_access_log_has_connections_and_messages(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-logging.html"""
    api(template)
    route(template, "$default")
    template.add("Log", "AWS::Logs::LogGroup", LogGroupName="chat")
    template.resources["Stage"]["Properties"]["AccessLogSettings"] = {
        "DestinationArn": arn("Log"),
        "Format": "$context.eventType $context.routeKey $context.status $context.connectionId",
    }
    shop = rehearse()
    socket = shop.connect()
    socket.send("hello")
    shop.run_until_idle()
    found = shop.client("logs").filter_log_events(logGroupName="chat")["events"]
    assert [each["message"] for each in found] == [
        f"CONNECT - 101 {socket.id}",
        f"MESSAGE $default 200 {socket.id}",
    ]


def test_an_http_api_and_a_websocket_api_live_side_by_side(
    template: Cloud, rehearse: Rehearse
) -> None:
    from rehearsal.test_http_api import route as http_route

    api(template)
    route(template, "$default", **ANSWERS)
    socket_api = {name: template.resources.pop(name) for name in ("Api", "Stage")}
    template.add("Api", "AWS::ApiGatewayV2::Api", Name="http", ProtocolType="HTTP")
    template.add(
        "Stage", "AWS::ApiGatewayV2::Stage", ApiId=ref("Api"), StageName="$default", AutoDeploy=True
    )
    http_route(template, "GET /", "Echo", open_=True)
    text = json.dumps(socket_api).replace('"Api"', '"Chat"').replace("Shop/Api/", "Shop/Chat/")
    renamed = json.loads(text)
    template.resources |= {"Chat": renamed["Chat"], "ChatStage": renamed["Stage"]}
    template.resources["ChatStage"]["Metadata"]["aws:cdk:path"] = "Shop/ChatStage/Resource"
    for name in [*template.resources]:
        properties = template.resources[name]["Properties"]
        if properties.get("RouteKey") == "$default" or properties.get("IntegrationUri") == uri(
            "Echo"
        ):
            properties["ApiId"] = ref("Chat")
    permission = template.resources["PermitEcho"]["Properties"]["SourceArn"]
    permission["Fn::Sub"] = permission["Fn::Sub"].replace("${Api}", "*")
    shop = rehearse()
    assert shop.http.request("GET", "/").status == 200
    assert answer(shop.connect(), "hello")["body"] == "hello"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"Api": {"RouteSelectionExpression": "$request.header.x"}},
            "does not know RouteSelectionExpression",
        ),
        ({"Api": {"RouteSelectionExpression": None}}, "does not know RouteSelectionExpression"),
        ({"Integration": {"IntegrationType": "HTTP_PROXY"}}, "IntegrationType = 'HTTP_PROXY'"),
        (
            {"Integration": {"IntegrationType": "AWS", "IntegrationUri": "arn:aws:x"}},
            "does not know integrations such as arn:aws:x",
        ),
        (
            {"Integration": {"IntegrationType": "MOCK", "RequestTemplates": {"200": "#set"}}},
            "RequestTemplates: .*: state a statusCode",
        ),
        ({"Route": {"AuthorizationType": "AWS_IAM"}}, "authorizes connections only"),
        ({"Route": {"AuthorizationType": "JWT"}}, "AuthorizationType = 'JWT'"),
        ({"Route": {"ApiKeyRequired": True}}, "ApiKeyRequired = True"),
        ({"Route": {"RouteResponseSelectionExpression": "$x"}}, "RouteResponseSelectionExpression"),
    ],
)
def test_what_the_rehearsal_lacks_is_refused_at_load(
    template: Cloud, rehearse: Rehearse, change: dict[str, Any], message: str
) -> None:
    api(template)
    route(template, "send")
    for kind, properties in change.items():
        (name,) = (each for each in template.resources if each.startswith(kind))
        template.resources[name]["Properties"] |= properties
    with pytest.raises(UnsupportedTemplateError, match=message):
        rehearse()


@pytest.mark.parametrize("source", ["$request.header.Token", "method.request.header.Token"])
def test_the_identity_of_a_connection_is_of_the_route(
    template: Cloud, rehearse: Rehearse, source: str
) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-lambda-auth.html"""
    guarded(template)
    template.resources["Authorizer"]["Properties"]["IdentitySource"] = [source]
    with pytest.raises(UnsupportedTemplateError, match="IdentitySource cannot be"):
        rehearse()


def test_an_application_without_such_an_api_says_so(template: Cloud, rehearse: Rehearse) -> None:
    template.queue("Queue")
    with pytest.raises(RehearsalError, match="which API"):
        rehearse().connect()
