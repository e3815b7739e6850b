"""Function URLs: who may call them, the event, the answer, cross-origin requests, and limits."""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from cdk_rehearsal import FAULTS, Rehearsal, UnsupportedTemplateError, check, permission_report
from cdk_rehearsal.assembly import Assembly
from cdk_rehearsal.topology import calls
from rehearsal.cloud import Cloud, arn, ref
from rehearsal.conftest import Deploy, Rehearse
from rehearsal.crossing import crosses

ECHO = "def handler(event, context): return event"
CALLED = ("lambda:InvokeFunctionUrl", "lambda:InvokeFunction")


def url(template: Cloud, code: str = ECHO, *, auth: str = "NONE", **properties: Any) -> None:
    """Adds a function with a URL, which anybody may call if it needs no signature."""
    template.function("Echo", code)
    template.add(
        "Url", "AWS::Lambda::Url", TargetFunctionArn=arn("Echo"), AuthType=auth, **properties
    )
    if auth == "NONE":
        permit(template)


def permit(template: Cloud, *actions: str, **properties: Any) -> None:
    """Adds the permissions that the CDK adds, or some of them."""
    conditions: dict[str, dict[str, Any]] = {
        "lambda:InvokeFunctionUrl": {"FunctionUrlAuthType": "NONE"},
        "lambda:InvokeFunction": {"InvokedViaFunctionUrl": True},
    }
    for index, action in enumerate(actions or CALLED):
        template.add(
            f"Permission{index}",
            "AWS::Lambda::Permission",
            Action=action,
            FunctionName=arn("Echo"),
            **{"Principal": "*", **conditions[action], **properties},
        )


def caller(template: Cloud, *actions: str, **condition: Any) -> None:
    """Adds a role that may do these actions on the function, under a condition."""
    trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    statement = {
        "Effect": "Allow",
        "Action": [*actions],
        "Resource": arn("Echo"),
        **({"Condition": condition} if condition else {}),
    }
    document = {"Version": "2012-10-17", "Statement": [statement]}
    template.add(
        "Caller",
        "AWS::IAM::Role",
        AssumeRolePolicyDocument={"Statement": [trust]},
        Policies=[{"PolicyName": "p", "PolicyDocument": document}],
    )


def status_as_caller(shop: Rehearsal) -> int:
    role = shop.resource("Shop/Caller", "AWS::IAM::Role").attributes["Arn"]
    return shop.http.request("GET", "/", role=role).status


# -- events and answers -----------------------------------------------------------------------


def test_the_event_has_the_request_in_format_2(template: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html"""
    url(template)
    shop = aws(shared=True)
    answer = shop.http.request(
        "POST",
        "/my/path?a=1&a=2&b=3",
        headers={"Content-Type": "text/plain", "Cookie": "c=1; d=2", "X-Mine": "yes"},
        body="text",
    )
    event = answer.json()
    context = event["requestContext"]
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert (event["version"], event["routeKey"], event["rawPath"]) == (
        "2.0",
        "$default",
        "/my/path",
    )
    assert event["rawQueryString"] == "a=1&a=2&b=3"
    assert event["queryStringParameters"] == {"a": "1,2", "b": "3"}
    assert (event["cookies"], event["headers"]["x-mine"]) == (["c=1", "d=2"], "yes")
    assert (event["body"], event["isBase64Encoded"]) == ("text", False)
    assert context["accountId"] == "anonymous"
    assert context["http"]["method"] == "POST"
    assert (context["stage"], context["routeKey"]) == ("$default", "$default")
    assert context["domainPrefix"] == context["apiId"]
    assert context["domainName"] == f"{context['apiId']}.lambda-url.{shop.region}.on.aws"


def test_a_binary_body_is_in_base_64(template: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html"""
    url(template)
    headers = {"Content-Type": "image/png"}
    event = aws(shared=True).http.request("POST", "/", headers=headers, body=b"\x00\xff").json()
    assert (base64.b64decode(event["body"]), event["isBase64Encoded"]) == (b"\x00\xff", True)


@pytest.mark.parametrize(
    ("answer", "status", "kind", "body"),
    [
        ({"message": "hello"}, 200, "application/json", '{"message":"hello"}'),
        ("hello", 200, "application/json", "hello"),
        ([1, None], 200, "application/json", "[1,null]"),
        (None, 200, "application/json", "null"),
        ({"statusCode": 201, "body": "x"}, 201, "application/json", "x"),
        ({"statusCode": "404"}, 404, "application/json", ""),
        (
            {"statusCode": 200, "headers": {"Content-Type": "text/html"}, "body": "<p>"},
            *(200, "text/html", "<p>"),
        ),
    ],
)
def test_an_answer_without_a_status_code_is_a_body(
    template: Cloud, aws: Deploy, answer: Any, status: int, kind: str, body: str
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html"""
    url(template, f"def handler(event, context): return {answer!r}")
    found = aws().http.request("GET", "/")
    assert (found.status, found.headers["content-type"], found.body) == (status, kind, body)


@pytest.mark.parametrize(
    "code",
    [
        "def handler(event, context): raise ValueError",
        "import time\ndef handler(event, context): time.sleep(9)",
        "def handler(event, context): return {'statusCode': 'x'}",
        "def handler(event, context): return {'statusCode': 200, 'headers': []  + [1]}",
        "def handler(event, context): return {1, 2}",
        "handler = 1 / 0",
    ],
)
def test_a_function_that_fails_is_a_bad_gateway(template: Cloud, aws: Deploy, code: str) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/urls-monitoring.html"""
    url(template, code)
    answer = aws().http.request("GET", "/")
    assert (answer.status, answer.body) == (502, "Internal Server Error")


# -- permissions ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("actions", "properties", "status"),
    [
        (CALLED, {}, 200),
        (CALLED[:1], {}, 403),
        (CALLED[1:], {}, 403),
        (CALLED, {"FunctionUrlAuthType": "AWS_IAM"}, 403),
        (CALLED, {"InvokedViaFunctionUrl": False}, 403),
        (CALLED, {"Principal": "123456789012"}, 403),
        (CALLED, {"Principal": "apigateway.amazonaws.com"}, 403),
    ],
)
def test_a_public_url_needs_permissions_for_anybody(
    template: Cloud,
    rehearse: Rehearse,
    actions: tuple[str, ...],
    properties: dict[str, Any],
    status: int,
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"""
    url(template)
    for name in ("Permission0", "Permission1"):
        del template.resources[name]
    permit(template, *actions, **properties)
    answer = rehearse().http.request("GET", "/")
    assert answer.status == status
    if status == 403:
        assert answer.json()["Message"].startswith("Forbidden.")
        assert answer.headers["x-amzn-errortype"] == "AccessDeniedException"


def test_a_url_without_any_permission_is_forbidden(template: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"""
    url(template)
    for name in ("Permission0", "Permission1"):
        del template.resources[name]
    assert aws().http.request("GET", "/").status == 403


def test_a_request_without_a_signature_is_forbidden(template: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"""
    url(template, auth="AWS_IAM")
    assert aws().http.request("GET", "/").status == 403


@pytest.mark.parametrize(
    ("actions", "condition", "status"),
    [
        (CALLED, {}, 200),
        (CALLED[:1], {}, 403),
        (CALLED[1:], {}, 403),
        (["lambda:*"], {"StringEquals": {"lambda:FunctionUrlAuthType": "AWS_IAM"}}, 200),
        (["lambda:*"], {"StringEquals": {"lambda:FunctionUrlAuthType": "NONE"}}, 403),
        (["lambda:*"], {"Bool": {"lambda:InvokedViaFunctionUrl": "true"}}, 200),
        (["lambda:*"], {"Bool": {"lambda:InvokedViaFunctionUrl": "false"}}, 403),
    ],
)
def test_a_role_needs_both_permissions(
    template: Cloud, rehearse: Rehearse, actions: list[str], condition: Any, status: int
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"""
    url(template, auth="AWS_IAM")
    caller(template, *actions, **condition)
    shop = rehearse()
    assert status_as_caller(shop) == status


def test_the_policy_of_the_function_may_permit_a_role(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"""
    url(template, auth="AWS_IAM")
    caller(template, "sqs:SendMessage")
    permit(template, Principal=arn("Caller"), FunctionUrlAuthType="AWS_IAM")
    del template.resources["Permission1"]["Properties"]["FunctionUrlAuthType"]
    shop = rehearse()
    assert status_as_caller(shop) == 200
    role = shop.resource("Shop/Caller", "AWS::IAM::Role").attributes["Arn"]
    event = shop.http.request("GET", "/", role=role).json()
    identity = event["requestContext"]["authorizer"]["iam"]
    assert event["requestContext"]["accountId"] == shop.account
    assert identity["userArn"].endswith("/rehearsal")
    assert ":assumed-role/" in identity["userArn"]


def test_a_signature_for_lambda_is_verified(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html"""
    url(template, auth="AWS_IAM")
    shop = rehearse()
    address = shop.resource("Shop/Url", "AWS::Lambda::Url").attributes["FunctionUrl"]

    def status(service: str, path: str = "/") -> int:
        request = AWSRequest("GET", address, headers={"host": address[8:-1]})
        SigV4Auth(Credentials("rehearsal", "rehearsal"), service, shop.region).add_auth(request)
        return shop.http.request("GET", path, headers=dict(request.headers)).status

    assert [status("lambda"), status("execute-api"), status("lambda", "/other")] == [200, 403, 403]


def test_both_permissions_of_a_role_are_used(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"""
    url(template, auth="AWS_IAM")
    caller(template, *CALLED, "lambda:GetFunction")
    shop = rehearse()
    status_as_caller(shop)
    (role,) = (each for each in permission_report(shop).roles if each.who == "Shop/Caller")
    assert {each.action for each in role.used} == {*CALLED}
    assert [each.action for each in role.unused] == ["lambda:GetFunction"]


# -- templates --------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "permitted"), [("Echo", ["", "$LATEST"]), ("Live", ["1", ""])])
def test_an_alias_has_a_url_and_permissions_of_its_own(
    template: Cloud, rehearse: Rehearse, name: str, permitted: list[str]
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/urls-configuration.html"""
    code = "def handler(event, context): return context.function_version"
    url(template, code, Qualifier="live")
    template.add("Version", "AWS::Lambda::Version", FunctionName=ref("Echo"))
    template.add(
        "Live",
        "AWS::Lambda::Alias",
        FunctionName=ref("Echo"),
        FunctionVersion=arn("Version", "Version"),
        Name="live",
    )
    template.resources["Url"]["DependsOn"] = ["Live"]
    template.add("Own", "AWS::Lambda::Url", TargetFunctionArn=ref("Echo"), AuthType="NONE")
    for permission in ("Permission0", "Permission1"):
        template.resources[permission]["Properties"]["FunctionName"] = ref(name)
    shop = rehearse()
    assert shop.resource("Shop/Url").physical_id.endswith(":live")
    found = [shop.http.request("GET", "/", api=f"Shop/{name}") for name in ("Url", "Own")]
    assert [answer.body if answer.status == 200 else "" for answer in found] == permitted


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({"InvokeMode": "RESPONSE_STREAM"}, "does not know InvokeMode = 'RESPONSE_STREAM'"),
        ({"AuthType": "JWT"}, "does not know AuthType = 'JWT'"),
        ({"Qualifier": "1"}, "a version has no URL: give one to an alias"),
        ({"Qualifier": "live"}, "there is no function .*:live"),
        ({"Cors": {"AllowOrigin": ["*"]}}, "Cors: unknown property AllowOrigin"),
    ],
)
def test_a_url_that_lambda_or_the_rehearsal_lacks_is_refused_at_load(
    template: Cloud, rehearse: Rehearse, properties: dict[str, Any], message: str
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/urls-configuration.html"""
    url(template)
    template.resources["Url"]["Properties"] |= properties
    template.add("Version", "AWS::Lambda::Version", FunctionName=ref("Echo"))
    template.resources["Url"]["DependsOn"] = ["Version"]
    with pytest.raises(UnsupportedTemplateError, match=message):
        rehearse()


def test_a_function_has_one_url(template: Cloud) -> None:
    """https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunctionUrlConfig.html"""
    url(template)
    template.add("More", "AWS::Lambda::Url", TargetFunctionArn=ref("Echo"), AuthType="NONE")
    (found,) = check(template.write())
    assert "has a URL already" in found.problem


def test_a_url_is_a_synchronous_call(template: Cloud) -> None:
    url(template)
    found = [str(each) for each in calls(Assembly(template.write()))]
    assert found == ["call      Shop/Url -> Shop/Echo"]


def test_the_attribute_of_a_url_is_its_address(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html"""
    url(template, "import os\ndef handler(event, context): return os.environ['URL']")
    template.function(
        "Other",
        "import os\ndef handler(event, context): return os.environ['URL']",
        Environment={"Variables": {"URL": arn("Url", "FunctionUrl")}},
    )
    shop = rehearse()
    found = shop.invoke("Shop/Other", {}).payload
    assert found.startswith("https://")
    assert found.endswith(f".lambda-url.{shop.region}.on.aws/")
    client = shop.client("lambda")
    name = shop.physical_id("Shop/Url").rpartition(":")[2]
    assert client.get_function_url_config(FunctionName=name)["FunctionUrl"] == found


# -- cross-origin requests --------------------------------------------------------------------

CORS = {
    "AllowOrigins": ["https://shop.example"],
    "AllowMethods": ["GET", "POST"],
    "AllowHeaders": ["authorization"],
    "AllowCredentials": True,
    "ExposeHeaders": ["x-mine"],
    "MaxAge": 60,
}
ASKS = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}


def allowed(headers: dict[str, str]) -> dict[str, str]:
    start = "access-control-"
    return {name[len(start) :]: each for name, each in headers.items() if name.startswith(start)}


def test_lambda_answers_preflight_requests(template: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/lambda/latest/api/API_Cors.html"""
    url(template, "handler = None", Cors=CORS)
    http = aws(shared=True).http
    answer = http.request("OPTIONS", "/", headers=ASKS)
    assert (answer.status, answer.body) == (200, "")
    assert allowed(answer.headers) == {
        "allow-origin": "https://shop.example",
        "allow-credentials": "true",
        "allow-methods": "GET,POST",
        "allow-headers": "authorization",
        "max-age": "60",
    }
    other = http.request("OPTIONS", "/", headers={**ASKS, "Origin": "https://other.example"})
    assert allowed(other.headers) == {}


def test_lambda_adds_its_headers_to_those_of_the_function(template: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/lambda/latest/api/API_Cors.html"""
    own = "{'access-control-allow-origin': '*', 'x-mine': 'yes'}"
    url(
        template,
        f"def handler(event, context): return {{'statusCode': 200, 'headers': {own}}}",
        Cors=CORS,
    )
    answer = aws(shared=True).http.request("GET", "/", headers={"Origin": "https://shop.example"})
    assert allowed(answer.headers)["allow-origin"] == "*,https://shop.example"
    assert allowed(answer.headers)["expose-headers"] == "x-mine"


def test_without_a_configuration_the_function_answers_preflight_requests(
    template: Cloud, aws: Deploy
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/api/API_Cors.html"""
    url(template)
    event = aws(shared=True).http.request("OPTIONS", "/", headers=ASKS).json()
    assert event["requestContext"]["http"]["method"] == "OPTIONS"


# -- limits, faults and metrics ---------------------------------------------------------------


@crosses("lambda.payload_bytes")
def test_a_request_may_have_six_megabytes(template: Cloud, rehearse: Rehearse) -> None:
    url(template, "def handler(event, context): return len(event['body'])")
    shop = rehearse()
    headers = {"content-type": "text/plain"}
    bodies = ("x" * 6_000_000, "x" * 6_300_000)
    answers = [shop.http.request("POST", "/", headers=headers, body=body) for body in bodies]
    assert [answer.status for answer in answers] == [200, 413]


@crosses("lambda.payload_bytes")
def test_an_answer_may_have_six_megabytes(template: Cloud, rehearse: Rehearse) -> None:
    url(template, "def handler(event, context): return 'x' * int(event['rawPath'][1:])")
    shop = rehearse()
    statuses = [shop.http.request("GET", f"/{size}").status for size in (6_000_000, 6_300_000)]
    assert statuses == [200, 502]


def test_a_function_without_concurrency_answers_429(template: Cloud, aws: Deploy) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/urls-configuration.html"""
    url(template)
    template.resources["Echo"]["Properties"]["ReservedConcurrentExecutions"] = 0
    assert aws().http.request("GET", "/").status == 429


def test_a_fault_acts_on_requests_and_on_the_function(template: Cloud, rehearse: Rehearse) -> None:
    url(template)
    shop = rehearse()
    shop.faults.plan(FAULTS["sent-twice"], source="Shop/Url", target="Shop/Echo")
    assert shop.http.request("POST", "/").status == 200
    assert len(shop.meter.of("invocation", target="Shop/Echo")) == 2
    shop.faults.plan(FAULTS["raises-on"], target="Shop/Echo")
    assert shop.http.request("POST", "/").status == 502


def test_requests_have_metrics(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/urls-monitoring.html"""
    url(template, "def handler(event, context): return {'statusCode': int(event['rawPath'][1:])}")
    shop = rehearse()
    for status in (200, 404, 500, 503):
        shop.http.request("GET", f"/{status}")
    shop.run_for(60)
    dimension = {"Name": "FunctionName", "Value": shop.function("Shop/Echo").name}

    def total(name: str) -> float:
        (found,) = shop.client("cloudwatch").get_metric_data(
            MetricDataQueries=[
                {
                    "Id": "m",
                    "MetricStat": {
                        "Metric": {
                            "Namespace": "AWS/Lambda",
                            "MetricName": name,
                            "Dimensions": [dimension],
                        },
                        "Period": 300,
                        "Stat": "Sum",
                    },
                }
            ],
            StartTime=shop.clock.now() - 240,
            EndTime=shop.clock.now() + 60,
        )["MetricDataResults"]
        return float(sum(found["Values"]))

    assert [total(f"Url{name}Count") for name in ("Request", "4xx", "5xx")] == [4, 1, 2]


@pytest.mark.parametrize("named", [False, True])
def test_a_url_is_served_and_reached_at_the_endpoint_of_aws_by_the_header_host(
    template: Cloud, rehearse: Rehearse, named: bool
) -> None:
    url(template)
    shop = rehearse()
    (address,) = shop.serve_apis().values()
    headers: dict[str, str] = {}
    if named:
        domain = shop.resource("Shop/Url", "AWS::Lambda::Url").attributes["FunctionUrl"][8:-1]
        address, headers["Host"] = shop.serve(), domain

    def fetch() -> Any:
        opener = build_opener(ProxyHandler({}))
        with opener.open(Request(f"{address}/a/b?c=1", headers=headers), timeout=30) as response:
            return json.loads(response.read())

    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(fetch)
        while not answer.done():
            shop.run_for(0.01)
    assert (answer.result()["rawPath"], answer.result()["rawQueryString"]) == ("/a/b", "c=1")
