"""Limits that a template can exceed: what is at the limit is accepted, and one more is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from cdk_rehearsal.assembly import Assembly
from cdk_rehearsal.errors import LoadingError
from cdk_rehearsal.limits import TABLE
from cdk_rehearsal.topology import exceeded
from cdk_rehearsal.topology.replacements import schema
from rehearsal import test_http_api
from rehearsal.cloud import Cloud, arn, ref
from rehearsal.conftest import Deploy, Rehearse
from rehearsal.crossing import crosses
from rehearsal.worlds import refused

Template = dict[str, Any]

PROPERTIES = {
    "apigateway.policy_characters": 8192,
    "apigateway.stage_variables": 100,
    "apigatewayv2.audiences": 50,
    "apigatewayv2.scopes": 10,
    "apigatewayv2.stage_variables": 100,
    "apigatewayv2.timeout_ms": 30_000,
    "cloudwatch.alarm_actions": 5,
    "cloudwatch.dimensions": 30,
    "cognito-idp.callback_urls": 100,
    "cognito-idp.client_scopes": 50,
    "cognito-idp.scopes": 100,
    "dynamodb.global_indexes": 20,
    "dynamodb.local_indexes": 5,
    "dynamodb.policy_bytes": 20_480,
    "eventbridgev2.batch_window_s": 300,
    "eventbridgev2.event_age_s": 86_400,
    "eventbridgev2.expression_characters": 8192,
    "eventbridgev2.input_characters": 262_144,
    "eventbridgev2.retention_days": 365,
    "eventbridgev2.retries": 185,
    "events.event_age_s": 86_400,
    "events.input_characters": 8192,
    "events.pattern_characters": 2048,
    "events.retries": 185,
    "events.targets": 5,
    "iam.managed_policy_characters": 6144,
    "iam.trust_policy_characters": 2048,
    "kms.key_policy_bytes": 32_768,
    "lambda.batch_size": 10_000,
    "lambda.batching_window_s": 300,
    "lambda.cors_age_s": 86_400,
    "lambda.cors_headers": 100,
    "lambda.cors_methods": 6,
    "lambda.cors_origins": 100,
    "lambda.event_age_s": 21_600,
    "lambda.layers": 5,
    "lambda.mapping_concurrency": 1000,
    "lambda.memory_mb": 10_240,
    "lambda.parallelization": 10,
    "lambda.record_age_s": 604_800,
    "lambda.record_retries": 10_000,
    "lambda.retries": 2,
    "lambda.storage_mb": 10_240,
    "lambda.timeout_s": 900,
    "logs.resource_policy_characters": 51_200,
    "s3.lifecycle_rules": 1000,
    "s3.policy_bytes": 20_480,
    "scheduler.event_age_s": 86_400,
    "scheduler.flexible_window_min": 1440,
    "scheduler.name_characters": 64,
    "scheduler.retries": 185,
    "secretsmanager.policy_characters": 20_480,
    "secretsmanager.value_bytes": 65_536,
    "sns.filter_bytes": 262_144,
    "sns.maximum_message_bytes": 1_048_576,
    "sqs.delay_s": 900,
    "sqs.key_reuse_s": 86_400,
    "sqs.message_bytes": 1_048_576,
    "sqs.policy_bytes": 8192,
    "sqs.retention_s": 1_209_600,
    "sqs.visibility_s": 43_200,
    "sqs.wait_s": 20,
    "stepfunctions.definition_bytes": 1_048_576,
    "stepfunctions.name_characters": 80,
}
"""Limits of single properties. The numbers are those of AWS, not read from the table."""

COUNTS = {
    "apigateway.authorizers": 10,
    "apigateway.resources": 300,
    "apigateway.stages": 10,
    "apigatewayv2.authorizers": 10,
    "apigatewayv2.integrations": 300,
    "apigatewayv2.routes": 300,
    "apigatewayv2.stages": 10,
    "eventbridgev2.buses": 5,
    "eventbridgev2.sources": 200,
    "eventbridgev2.subscribers": 10_000,
    "events.buses": 100,
    "events.rules": 300,
    "logs.resource_policies": 10,
    "sns.account_filters": 10_000,
    "sns.topic_filters": 200,
}
"""Limits of the number of resources."""

crosses(*PROPERTIES, *COUNTS)


def found(template: Template) -> set[str]:
    return {each.limit for each in exceeded(Assembly({"Shop": template}))}


def resources(type_: str, *properties: Mapping[str, Any]) -> Template:
    return {
        "Resources": {
            f"R{index}": {"Type": type_, "Properties": each}
            for index, each in enumerate(properties)
        }
    }


def node_at(type_: str, path: str) -> dict[str, Any]:
    """The schema of a property: KeyError if CloudFormation does not know it."""
    described: Any = schema(type_)
    node = described
    for step in path.replace("[]", ".[]").split("."):
        node = node["items"] if step == "[]" else node["properties"][step]
        while "$ref" in node:
            node = described["definitions"][node["$ref"].rpartition("/")[2]]
    return dict(node)


def filled(type_: str, path: str, unit: str, n: int) -> Any:
    """A value of ``n`` bytes, elements, seconds …, as the property's type has it."""
    kinds = node_at(type_, path).get("type", "object")
    kind = kinds if isinstance(kinds, str) else next(each for each in kinds if each != "string")
    if kind in ("integer", "number"):
        return n
    if kind == "array":
        return [f"item {index}" for index in range(n)]
    if kind == "string":
        return "x" * n
    if unit == "items":
        return {f"name{index}": "x" for index in range(n)}
    return {"a": "x" * (n - len('{"a":""}'))}


def nested(path: str, value: Any) -> dict[str, Any]:
    for step in reversed(path.split(".")):
        value = {step.removesuffix("[]"): [value]} if step.endswith("[]") else {step: value}
    return dict(value)


@pytest.mark.parametrize("limit", PROPERTIES)
def test_a_property_may_be_at_its_limit_and_not_over_it(limit: str) -> None:
    for place in TABLE[limit].template:
        type_, path = place.split(" ")

        def at(n: int, type_: str = type_, path: str = path) -> Template:
            return resources(type_, nested(path, filled(type_, path, TABLE[limit].unit, n)))

        assert limit not in found(at(PROPERTIES[limit])), place
        assert limit in found(at(PROPERTIES[limit] + 1)), place


@pytest.mark.parametrize("limit", COUNTS)
def test_there_may_be_as_many_resources_as_the_limit_and_not_one_more(limit: str) -> None:
    counted = TABLE[limit].counted
    assert counted is not None
    names = [name for name in (counted.present, counted.per) if name]
    for name in names:
        assert node_at(counted.type, name)
    one = {name: f"the same {name}" for name in names}
    other = {name: f"another {name}" for name in names if name == counted.per}
    most = COUNTS[limit]
    assert limit not in found(resources(counted.type, *[one] * most, *([other] if other else [])))
    assert limit in found(resources(counted.type, *[one] * (most + 1)))


# -- limits with a measure of their own -------------------------------------------------------

Build = Callable[[int], Template]
MEASURED: list[tuple[str, int, Build]] = []


def measured(limit: str, most: int) -> Callable[[Build], Build]:
    def register(build: Build) -> Build:
        MEASURED.append((limit, most, build))
        return build

    crosses(limit)
    return register


def fill(n: int, empty: Any) -> str:
    """A text with which a document of compact JSON has ``n`` characters."""
    return "x" * (n - len(json.dumps(empty, separators=(",", ":"))))


@measured("cloudformation.resources", 500)
def _resources(n: int) -> Template:
    return resources("AWS::CDK::Metadata", *[{}] * n)


@measured("cloudformation.parameters", 200)
def _parameters(n: int) -> Template:
    return {"Parameters": {f"P{index}": {"Type": "String"} for index in range(n)}}


@measured("cloudformation.outputs", 200)
def _outputs(n: int) -> Template:
    return {"Outputs": {f"O{index}": {"Value": "x"} for index in range(n)}}


@measured("cloudformation.mappings", 200)
def _mappings(n: int) -> Template:
    return {"Mappings": {f"M{index}": {"a": {"b": "c"}} for index in range(n)}}


@measured("cloudformation.mapping_attributes", 200)
def _mapping_attributes(n: int) -> Template:
    return {"Mappings": {"M": {"a": {f"b{index}": "c" for index in range(n)}}}}


@measured("cloudformation.description_bytes", 1024)
def _description(n: int) -> Template:
    return {"Description": "ü" * (n // 2) + "x" * (n % 2)}


@measured("cloudformation.template_bytes", 1_048_576)
def _template(n: int) -> Template:
    return {"Metadata": "x" * (n - len('{"Metadata": ""}'))}


@measured("dynamodb.projected_attributes", 100)
def _projected(n: int) -> Template:
    names = [f"a{index}" for index in range(n)]
    halves = [{"Projection": {"NonKeyAttributes": part}} for part in (names[:40], names[40:])]
    return resources(
        "AWS::DynamoDB::Table",
        {"GlobalSecondaryIndexes": halves[:1], "LocalSecondaryIndexes": halves[1:]},
    )


@measured("events.bus_policy_characters", 10_240)
def _bus_policy(n: int) -> Template:
    def statements(text: str) -> list[dict[str, str]]:
        return [{"Sid": "a"}, {"Sid": text}]

    text = fill(n, {"Version": "2012-10-17", "Statement": statements("")})
    template = resources("AWS::Events::EventBus", {"Name": "bus"})
    for index, statement in enumerate(statements(text)):
        template["Resources"][f"P{index}"] = {
            "Type": "AWS::Events::EventBusPolicy",
            "Properties": {"EventBusName": ref("R0"), "Statement": statement},
        }
    return template


@measured("iam.inline_policy_characters", 10_240)
def _inline_policies(n: int) -> Template:
    own, added = {"a": "x" * 5000}, {"a": fill(n - len('{"a":""}') - 5000, {"a": ""})}
    template = resources("AWS::IAM::Role", {"Policies": [{"PolicyDocument": own}]})
    template["Resources"]["Policy"] = {
        "Type": "AWS::IAM::Policy",
        "Properties": {"Roles": [ref("R0")], "PolicyDocument": added},
    }
    return template


@measured("iam.role_policies", 10)
def _role_policies(n: int) -> Template:
    template = resources("AWS::IAM::Role", {"ManagedPolicyArns": ["arn"] * (n - 1)})
    template["Resources"]["Policy"] = {
        "Type": "AWS::IAM::ManagedPolicy",
        "Properties": {"Roles": [ref("R0")]},
    }
    return template


@measured("lambda.environment_bytes", 4096)
def _environment(n: int) -> Template:
    variables = {"A": "ü", "B": fill(n - 2, {"A": "", "B": ""})}
    return resources("AWS::Lambda::Function", {"Environment": {"Variables": variables}})


@measured("lambda.policy_bytes", 20_480)
def _function_policy(n: int) -> Template:
    def template(text: str) -> Template:
        found = resources("AWS::Lambda::Function", {})
        found["Resources"]["Permission"] = {
            "Type": "AWS::Lambda::Permission",
            "Properties": {"FunctionName": ref("R0"), "Principal": "", "SourceArn": text},
        }
        return found

    statement = {
        "Sid": Assembly({"Shop": template("")}).resources[1].generated_name(100),
        "Effect": "Allow",
        "Principal": {"Service": ""},
        "Action": None,
        "Resource": "R0",
        "Condition": {"ArnLike": {"AWS:SourceArn": ""}},
    }
    document = {"Version": "2012-10-17", "Id": "default", "Statement": [statement]}
    return template(fill(n, document))


@measured("lambda.concurrent_executions", 900)
@measured("lambda.unreserved_executions", 900)
def _reserved(n: int) -> Template:
    halves = ({"ReservedConcurrentExecutions": part} for part in (400, n - 400))
    return resources("AWS::Lambda::Function", *halves)


@measured("sqs.policy_statements", 20)
def _statements(n: int) -> Template:
    return resources("AWS::SQS::QueuePolicy", {"PolicyDocument": {"Statement": [{}] * n}})


@measured("sqs.policy_actions", 7)
def _actions(n: int) -> Template:
    statements = [{"Action": "sqs:*"}, {"Action": ["sqs:SendMessage"] * n}]
    return resources("AWS::SQS::QueuePolicy", {"PolicyDocument": {"Statement": statements}})


@measured("ssm.standard_bytes", 4096)
def _standard(n: int) -> Template:
    advanced = {"Tier": "Advanced", "Value": "x" * 5000}
    return resources("AWS::SSM::Parameter", {"Value": "x" * n}, advanced)


@measured("ssm.advanced_bytes", 8192)
def _advanced(n: int) -> Template:
    return resources("AWS::SSM::Parameter", {"Tier": "Advanced", "Value": "x" * n})


@measured("tags.per_resource", 50)
def _tags(n: int) -> Template:
    return resources("AWS::SNS::Topic", {"Tags": [{"Key": str(i), "Value": ""} for i in range(n)]})


@pytest.mark.parametrize(("limit", "most", "build"), MEASURED, ids=[each[0] for each in MEASURED])
def test_what_several_properties_have_together_may_be_at_the_limit_and_not_over_it(
    limit: str, most: int, build: Build
) -> None:
    over = {"lambda.unreserved_executions": "lambda.concurrent_executions"}.get(limit, limit)
    assert over not in found(build(most))
    assert over in found(build(most + 1))


@crosses("lambda.unzipped_bytes")
def test_the_code_of_a_function_counts_with_its_layers(template: Cloud, tmp_path: Path) -> None:
    for name, size in (("code", 200_000_000), ("layer", 62_144_000)):
        (template.directory / name).mkdir(parents=True)
        with (template.directory / name / "file").open("wb") as file:
            file.truncate(size)  # A sparse file.
    template.files = {"code.zip": "code", "layer.zip": "layer"}
    template.add("Layer", "AWS::Lambda::LayerVersion", Content={"S3Key": "layer.zip"})
    code = {"S3Key": "code.zip"}
    template.function("Function", "", Code=code, Layers=[ref("Layer")])
    assert exceeded(Assembly(template.write())) == []
    with (template.directory / "layer" / "file").open("ab") as file:
        file.write(b"x")
    (finding,) = exceeded(Assembly(template.write()))
    assert (finding.limit, finding.amount) == ("lambda.unzipped_bytes", 262_144_001)


# -- stacks -----------------------------------------------------------------------------------

DEPLOYED = {
    "apigatewayv2.stage_variables": "AWS::ApiGatewayV2::Stage",
    "apigatewayv2.timeout_ms": "AWS::ApiGatewayV2::Integration",
    "events.event_age_s": "AWS::Events::Rule",
    "events.retries": "AWS::Events::Rule",
    "lambda.batch_size": "AWS::Lambda::EventSourceMapping",
    "lambda.batching_window_s": "AWS::Lambda::EventSourceMapping",
    "lambda.event_age_s": "AWS::Lambda::EventInvokeConfig",
    "lambda.memory_mb": "AWS::Lambda::Function",
    "lambda.record_age_s": "AWS::Lambda::EventSourceMapping",
    "lambda.record_retries": "AWS::Lambda::EventSourceMapping",
    "lambda.retries": "AWS::Lambda::EventInvokeConfig",
    "lambda.storage_mb": "AWS::Lambda::Function",
    "lambda.timeout_s": "AWS::Lambda::Function",
    "sqs.key_reuse_s": "AWS::SQS::Queue",
    "sqs.retention_s": "AWS::SQS::Queue",
}
"""Limits of single properties, and the type of a resource that can be deployed with it."""


def whole(template: Cloud, type_: str) -> dict[str, Any]:
    """Adds a resource of a type, with all that it needs; returns its properties."""
    template.queue("Queue")
    template.function("Function", "def handler(event, context): return event")
    function = {"FunctionName": ref("Function")}
    match type_:
        case "AWS::ApiGatewayV2::Integration":
            test_http_api.api(template)
            own = {"IntegrationType": "AWS_PROXY", "IntegrationUri": arn("Function")}
            template.add("R", type_, ApiId=ref("Api"), PayloadFormatVersion="2.0", **own)
        case "AWS::ApiGatewayV2::Stage":
            test_http_api.api(template)
            template.resources["R"] = template.resources.pop("Stage")
        case "AWS::Events::Rule":
            template.bus("Bus")
            template.rule("R", {"source": ["never"]}, {"Arn": arn("Queue")})
        case "AWS::Lambda::EventInvokeConfig":
            template.add("R", type_, Qualifier="$LATEST", **function)
        case "AWS::Lambda::EventSourceMapping":
            template.add("Stream", "AWS::Kinesis::Stream", ShardCount=1)
            template.mapping("R", arn("Stream"), "Function", StartingPosition="LATEST")
        case "AWS::Lambda::Function":
            template.resources["R"] = template.resources.pop("Function")
        case _:
            template.add("R", type_)
    properties: dict[str, Any] = template.resources["R"]["Properties"]
    return properties


def put(properties: Any, path: str, value: Any) -> None:
    """Sets a property, in the first element of each list on its path."""
    *steps, last = path.split(".")
    for step in steps:
        properties = properties.setdefault(step.removesuffix("[]"), {})
        properties = properties[0] if step.endswith("[]") else properties
    properties[last] = value


OVER = pytest.mark.parametrize("over", [False, True], ids=["at the limit", "over it"])


def deploys(aws: Deploy, limit: str, over: bool) -> None:
    """Expects that the template is refused only over the limit, and with this reason."""
    with refused(TABLE[limit].says) if over else nullcontext():
        aws()


@OVER
@pytest.mark.parametrize("limit", DEPLOYED)
def test_a_stack_with_a_property_over_its_limit_is_refused(
    template: Cloud, aws: Deploy, limit: str, over: bool
) -> None:
    type_ = DEPLOYED[limit]
    properties = whole(template, type_)
    places = (place.split(" ") for place in TABLE[limit].template)
    path = next(path for kind, path in places if kind == type_)
    put(properties, path, filled(type_, path, TABLE[limit].unit, PROPERTIES[limit] + over))
    deploys(aws, limit, over)


Add = Callable[[Cloud, int], object]
STACKS: list[tuple[str, int, Add]] = []


def stacked(limit: str, most: int) -> Callable[[Add], Add]:
    def register(add: Add) -> Add:
        STACKS.append((limit, most, add))
        return add

    return register


@stacked("cloudformation.parameters", 200)
def _with_parameters(template: Cloud, n: int) -> None:
    template.add("Topic", "AWS::SNS::Topic")
    template.template |= {
        "Parameters": {f"P{index}": {"Type": "String", "Default": ""} for index in range(n)}
    }


@stacked("cloudformation.mappings", 200)
def _with_mappings(template: Cloud, n: int) -> None:
    template.add("Topic", "AWS::SNS::Topic")
    template.template |= _mappings(n)


@stacked("cloudformation.mapping_attributes", 200)
def _with_attributes(template: Cloud, n: int) -> None:
    template.add("Topic", "AWS::SNS::Topic")
    template.template |= _mapping_attributes(n)


@stacked("cloudformation.description_bytes", 1024)
def _with_description(template: Cloud, n: int) -> None:
    template.add("Topic", "AWS::SNS::Topic")
    template.template |= _description(n)


@stacked("events.targets", 5)
def _targets(template: Cloud, n: int) -> None:
    template.bus("Bus")
    template.queue("Queue")
    template.rule("Rule", {"source": ["never"]}, *[{"Arn": arn("Queue")}] * n)


@stacked("cloudwatch.alarm_actions", 5)
def _alarm(template: Cloud, n: int) -> None:
    topics = [template.add(f"Topic{index}", "AWS::SNS::Topic") for index in range(n)]
    template.add(
        "Alarm",
        "AWS::CloudWatch::Alarm",
        Namespace="AWS/SQS",
        MetricName="NumberOfMessagesSent",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
        AlarmActions=list(map(ref, topics)),
    )


@stacked("dynamodb.local_indexes", 5)
def _local_indexes(template: Cloud, n: int) -> None:
    names = [f"s{index}" for index in range(n)]
    keys = [{"AttributeName": "pk", "KeyType": "HASH"}]
    sorts = [[*keys, {"AttributeName": name, "KeyType": "RANGE"}] for name in names]
    template.add(
        "Table",
        "AWS::DynamoDB::Table",
        KeySchema=sorts[0],
        AttributeDefinitions=[
            {"AttributeName": name, "AttributeType": "S"} for name in ["pk", *names]
        ],
        BillingMode="PAY_PER_REQUEST",
        LocalSecondaryIndexes=[
            {"IndexName": f"by-{index}", "KeySchema": sort, "Projection": {"ProjectionType": "ALL"}}
            for index, sort in enumerate(sorts)
        ],
    )


@stacked("iam.trust_policy_characters", 2048)
def _trust(template: Cloud, n: int) -> None:
    template.role("Role")
    properties = template.resources["Role"]["Properties"]
    trust = properties["AssumeRolePolicyDocument"]["Statement"][0]
    trust["Sid"] = fill(n, {"Statement": [{**trust, "Sid": ""}]})


@stacked("iam.inline_policy_characters", 10_240)
def _inline(template: Cloud, n: int) -> None:
    template.role("Role")
    document = template.resources["Role"]["Properties"]["Policies"][0]["PolicyDocument"]
    document["Statement"][0]["Sid"] = ""
    document["Statement"][0]["Sid"] = fill(n, document)


@stacked("iam.managed_policy_characters", 6144)
def _managed(template: Cloud, n: int) -> None:
    statement = {"Effect": "Deny", "Action": "*", "Resource": "*", "Sid": ""}
    document = {"Version": "2012-10-17", "Statement": [statement]}
    statement["Sid"] = fill(n, document)
    template.add("Policy", "AWS::IAM::ManagedPolicy", PolicyDocument=document)


@stacked("iam.role_policies", 10)
def _attached(template: Cloud, n: int) -> None:
    template.role("Role")
    for index in range(n):
        _managed(template, 200 + index)
        policy = template.resources.pop("Policy")
        template.resources[f"Policy{index}"] = policy
        policy["Properties"]["Roles"] = [ref("Role")]


@stacked("lambda.environment_bytes", 4096)
def _variables(template: Cloud, n: int) -> None:
    variables = {"AB": fill(n, {"AB": ""})}
    template.function("Function", "", Environment={"Variables": variables})


@stacked("lambda.mapping_concurrency", 1000)
def _concurrency(template: Cloud, n: int) -> None:
    template.queue("Queue", VisibilityTimeout=60)
    template.function("Function", "def handler(event, context): return event")
    scaling = {"MaximumConcurrency": n}
    template.mapping("Mapping", arn("Queue"), "Function", ScalingConfig=scaling)


@stacked("sns.maximum_message_bytes", 1_048_576)
def _topic(template: Cloud, n: int) -> None:
    template.add("Topic", "AWS::SNS::Topic", MaximumMessageSize=n)


@stacked("tags.per_resource", 50)
def _tagged(template: Cloud, n: int) -> None:
    tags = [{"Key": f"key{index}", "Value": "x"} for index in range(n)]
    template.add("Topic", "AWS::SNS::Topic", Tags=tags)


@OVER
@pytest.mark.parametrize(("limit", "most", "add"), STACKS, ids=[each[0] for each in STACKS])
def test_a_stack_over_a_limit_is_refused(
    template: Cloud, aws: Deploy, limit: str, most: int, add: Add, over: bool
) -> None:
    add(template, most + over)
    deploys(aws, limit, over)


# -- loading and reporting --------------------------------------------------------------------


def test_loading_refuses_a_template_over_a_limit_and_says_what_to_do(
    template: Cloud, rehearse: Rehearse
) -> None:
    template.add("Queue", "AWS::SQS::Queue", DelaySeconds=901)
    with pytest.raises(LoadingError) as refused:
        rehearse()
    (problem,) = [each for each in refused.value.problems if hasattr(each, "limit")]
    assert str(problem) == (
        "stack Shop, Queue (AWS::SQS::Queue): The delay of a message: 901 seconds, and AWS "
        "accepts at most 900: reduce it (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/"
        "APIReference/API_SendMessage.html)"
    )


def test_values_of_functions_count_as_they_are_resolved(
    template: Cloud, rehearse: Rehearse
) -> None:
    """Each role is in the policy by its name, which is longer than its logical id."""
    template.role("Role")
    statement = {"Effect": "Allow", "Action": "iam:GetRole", "Resource": arn("Role")}
    document = {"Version": "2012-10-17", "Statement": [{"Sid": "x" * 4930, **statement}]}
    for index in range(2):
        template.add(
            *(f"Policy{index}", "AWS::IAM::Policy"),
            PolicyName=str(index),
            Roles=[ref("Role")],
            PolicyDocument=document,
        )
    assert exceeded(Assembly(template.write())) == []
    with pytest.raises(LoadingError, match="The inline policies of a role: 10") as refused:
        rehearse()
    assert [each.path for each in refused.value.problems] == ["Shop/Role"]


def test_the_eleventh_resource_policy_of_the_account_is_refused_and_no_quota_helps(
    template: Cloud, rehearse: Rehearse
) -> None:
    for index in range(11):
        template.add(
            *(f"Policy{index}", "AWS::Logs::ResourcePolicy"),
            PolicyName=str(index),
            PolicyDocument="{}",
        )
    with pytest.raises(LoadingError, match="11, and AWS accepts at most 10"):
        rehearse()


def test_a_quota_raises_an_adjustable_limit_for_one_rehearsal(
    template: Cloud, rehearse: Rehearse
) -> None:
    template.add("Bus", "AWS::Events::EventBus", Name="bus")
    target = {"Arn": arn("Queue")}
    template.queue("Queue")
    template.rule("Rule", {"source": ["a"]}, *[target] * 6)
    with pytest.raises(LoadingError, match="or give quotas="):
        rehearse()
    assert found(template.template) == {"events.targets"}
    rehearse(quotas={"events.targets": 6})


def test_a_finding_has_a_severity_and_a_page() -> None:
    (finding,) = exceeded(Assembly({"Shop": resources("AWS::SQS::Queue", {"DelaySeconds": 901})}))
    assert finding.as_json() == {
        "resource": "Shop/R0",
        "where": "stack Shop, R0 (AWS::SQS::Queue)",
        "severity": "high",
        "limit": "sqs.delay_s",
        "amount": 901,
        "most": 900,
        "page": TABLE["sqs.delay_s"].page,
        "problem": finding.problem,
    }


def test_values_that_only_a_deployment_knows_are_not_over_a_limit() -> None:
    unknown = {"Fn::ImportValue": "x" * 50}
    queue = {"DelaySeconds": unknown, "Tags": unknown}
    assert exceeded(Assembly({"Shop": resources("AWS::SQS::Queue", queue)})) == []
