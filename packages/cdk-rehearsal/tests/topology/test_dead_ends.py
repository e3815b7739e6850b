"""What leaves the templates, or comes from outside of them, is a finding or a listed call."""

import copy
from collections.abc import Mapping
from typing import Any

import pytest

from cdk_rehearsal import Assembly
from cdk_rehearsal.kinds import SYNCHRONOUS
from cdk_rehearsal.topology import DurabilityRule, calls, edges, losses
from topology.post import arn, post, ref

Resources = dict[str, Any]


def resource(type_: str, **properties: Any) -> dict[str, Any]:
    return {"Type": type_, "Properties": properties}


def role(
    *statements: Mapping[str, Any], service: str = "lambda.amazonaws.com", **more: Any
) -> dict[str, Any]:
    trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return resource(
        "AWS::IAM::Role",
        AssumeRolePolicyDocument={"Statement": [trust]},
        Policies=[{"PolicyDocument": {"Statement": [*statements]}}],
        **more,
    )


def allow(action: str, on: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": on}


FUNCTION = resource("AWS::Lambda::Function", Role=arn("Role"))


def assembly(**resources: Any) -> Assembly:
    return Assembly({"Shop": {"Resources": resources}})


def not_understood(**resources: Any) -> list[str]:
    found = losses(assembly(**resources))
    rules = {DurabilityRule.KnownKind, DurabilityRule.KnownReceiver}
    return [str(each) for each in found if each.rule in rules]


# -- nothing receives ----------------------------------------------------------------------

QUEUE, STREAM = resource("AWS::SQS::Queue"), resource("AWS::Kinesis::Stream")
TABLE = resource("AWS::DynamoDB::Table", StreamSpecification={"StreamViewType": "NEW_IMAGE"})


@pytest.mark.parametrize(
    ("holder", "says"),
    [
        (QUEUE, "nothing in the templates receives from it"),
        (STREAM, "nothing in the templates receives from it"),
        (TABLE, "nothing in the templates receives from its stream"),
        (resource("AWS::SNS::Topic"), "nothing in the templates subscribes to it"),
        (resource("AWS::Events::EventBus", Name="b"), "no rule in the templates receives"),
        (resource("AWS::EventsV2::EventBus"), "no subscriber in the templates receives"),
        (resource("AWS::Events::Rule"), "it has no target in the templates"),
    ],
)
def test_messages_that_nothing_receives_are_a_finding(holder: Any, says: str) -> None:
    (finding,) = not_understood(Holder=holder)
    assert finding.startswith(f"Shop/Holder: {says}")


@pytest.mark.parametrize(
    ("holder", "action"),
    [
        (QUEUE, "sqs:ReceiveMessage"),
        (STREAM, "kinesis:Get*"),
        (TABLE, "dynamodb:*"),
    ],
)
def test_a_role_that_may_receive_is_a_receiver(holder: Any, action: str) -> None:
    polls = role(allow(action, arn("Holder")), service="ecs-tasks.amazonaws.com")
    assert not_understood(Holder=holder, Polls=polls) == []


@pytest.mark.parametrize("holder", [QUEUE, STREAM, TABLE])
def test_an_event_source_mapping_is_a_receiver(holder: Any) -> None:
    mapping = resource(
        "AWS::Lambda::EventSourceMapping",
        EventSourceArn=arn("Holder"),
        FunctionName=ref("Function"),
    )
    assert not_understood(Holder=holder, Mapping=mapping, Function=FUNCTION, Role=role()) == []


def test_a_dead_letter_queue_waits_for_an_operator() -> None:
    source = resource("AWS::SQS::Queue", RedrivePolicy={"deadLetterTargetArn": arn("Parking")})
    (finding,) = not_understood(Source=source, Parking=QUEUE)
    assert finding.startswith("Shop/Source: ")


@pytest.mark.parametrize(
    ("variable", "parks"),
    [
        ("DEAD_LETTER_QUEUE_URL", True),
        ("ORDERS_DLQ", True),
        ("DLQ", True),
        ("QUEUE_URL", False),
        ("UNDEAD_LETTERS", False),
    ],
)
def test_a_queue_that_code_parks_in_waits_for_an_operator(variable: str, parks: bool) -> None:
    function = copy.deepcopy(FUNCTION)
    function["Properties"]["Environment"] = {"Variables": {variable: ref("Parking")}}
    found = not_understood(Parking=QUEUE, Function=function, Role=role())
    assert [each.partition(":")[0] for each in found] == ([] if parks else ["Shop/Parking"])


@pytest.mark.parametrize("named", [ref("Holder"), "b"])
def test_a_rule_receives_the_events_of_its_bus(named: Any) -> None:
    rule = resource("AWS::Events::Rule", EventBusName=named, Targets=[{"Arn": "x"}])
    bus = resource("AWS::Events::EventBus", Name="b")
    assert not_understood(Holder=bus, Rule=rule) == []


def test_a_subscription_in_a_topic_is_an_edge() -> None:
    own = {"Protocol": "lambda", "Endpoint": arn("Function")}
    topic = resource("AWS::SNS::Topic", Subscription=[own])
    found = assembly(Topic=topic, Function=FUNCTION, Role=role())
    ends = {(edge.kind, edge.source, edge.target) for edge in edges(found)}
    assert ends == {
        ("topic", "Shop/Topic", "Shop/Function"),
        ("invoke", "Shop/Function", "Shop/Function"),
    }
    own["Protocol"] = "https"
    (finding,) = not_understood(Topic=topic)
    assert "no rule covers subscriptions by https (Shop/Topic -> " in finding


# -- out of the templates, and into them ---------------------------------------------------


@pytest.mark.parametrize("to", ["*", "arn:aws:sns:eu-west-1:123456789012:theirs"])
@pytest.mark.parametrize("actor", ["AWS::Lambda::Function", "AWS::StepFunctions::StateMachine"])
def test_messages_to_something_outside_are_a_finding(to: str, actor: str) -> None:
    given = {"Role": arn("Role"), "RoleArn": arn("Role"), "Definition": {"States": {}}}
    sends = role(allow("sns:Publish", to))
    (finding,) = not_understood(Actor=resource(actor, **given), Role=sends)
    assert f"Shop/Actor: it may send out of the templates (sns:Publish to {to})" in finding


def test_messages_to_something_inside_are_none() -> None:
    news = resource("AWS::SNS::Topic", Subscription=[{"Protocol": "sqs", "Endpoint": "x"}])
    sends = role(allow("sns:Publish", ref("News")), allow("s3:GetObject", "*"))
    assert not_understood(News=news, Function=FUNCTION, Role=sends) == []


def test_a_function_that_may_invoke_another_is_a_finding_unless_the_other_is_an_edge() -> None:
    templates: dict[str, Any] = {
        "Function": FUNCTION,
        "Other": resource("AWS::Lambda::Function"),
        "Role": role(allow("lambda:InvokeFunction", arn("Other"))),
    }
    (finding,) = not_understood(**templates)
    assert "whether it waits for the functions that it may invoke (Shop/Other)" in finding
    custom = resource("Custom::Own", ServiceToken=arn("Function"))
    assert not_understood(**templates, Custom=custom) == []
    config = resource("AWS::Lambda::EventInvokeConfig", FunctionName=ref("Other"))
    assert not_understood(**templates, Config=config) == []


@pytest.mark.parametrize("service", ["textract", "comprehend", "a-new-service"])
def test_a_service_that_acts_in_the_background_is_a_finding(service: str) -> None:
    (finding,) = not_understood(Role=role(service=f"{service}.amazonaws.com"))
    assert f"Shop/Role: no rule covers what {service}.amazonaws.com does with it" in finding


@pytest.mark.parametrize(
    "service", ["config.amazonaws.com", "codestar-notifications.amazonaws.com"]
)
def test_a_service_that_calls_or_sends_is_a_finding(service: str) -> None:
    permission = resource(
        "AWS::Lambda::Permission", FunctionName=ref("Function"), Principal=service
    )
    (finding,) = not_understood(Function=FUNCTION, Role=role(), Permission=permission)
    assert f"no rule covers invocations by {service} of Shop/Function" in finding
    admits = {**allow("sns:Publish", "*"), "Principal": {"Service": service}}
    policy = resource("AWS::SNS::TopicPolicy", PolicyDocument={"Statement": [admits]})
    (finding,) = not_understood(Policy=policy)
    assert f"no rule covers messages that {service} sends" in finding


@pytest.mark.parametrize("service", ["budgets", "cloudwatch", "elasticloadbalancing"])
def test_a_service_that_sends_what_another_resource_states_is_no_finding(service: str) -> None:
    admits = {**allow("sns:Publish", "*"), "Principal": {"Service": f"{service}.amazonaws.com"}}
    policy = resource("AWS::SNS::TopicPolicy", PolicyDocument={"Statement": [admits]})
    assert not_understood(Policy=policy) == []


@pytest.mark.parametrize(
    ("type_", "name"),
    [
        ("AWS::S3::Bucket", "ReplicationConfiguration"),
        ("AWS::DynamoDB::Table", "KinesisStreamSpecification"),
        ("AWS::Cognito::IdentityPool", "CognitoStreams"),
        ("AWS::ApiGateway::RestApi", "BodyS3Location"),
    ],
)
def test_a_property_that_delivers_is_a_finding(type_: str, name: str) -> None:
    (finding,) = not_understood(From=resource(type_, **{name: {"To": "arn:x"}}))
    assert f"Shop/From: no rule covers its {name} (Shop/From -> outside)" in finding


# -- invocations in the background ----------------------------------------------------------

INVOKES: dict[str, dict[str, Any]] = {
    "a method": resource(
        "AWS::ApiGateway::Method",
        Integration={
            "Uri": {"Fn::Sub": "arn:aws:apigateway:x:lambda:path/${Function.Arn}/invocations"},
            "RequestParameters": {
                "integration.request.header.X-Amz-Invocation-Type": "'Event'",
            },
        },
    ),
    "a client of a method": resource(
        "AWS::ApiGateway::Method",
        Integration={
            "Uri": arn("Function"),
            "RequestParameters": {
                "integration.request.header.X-Amz-Invocation-Type": (
                    "method.request.header.InvocationType"
                ),
            },
        },
    ),
    "an OpenAPI document": resource(
        "AWS::ApiGateway::RestApi",
        Body={
            "x-amazon-apigateway-integration": {
                "uri": arn("Function"),
                "requestParameters": {
                    "integration.request.header.x-amz-invocation-type": "'Event'",
                },
            }
        },
    ),
    "a user pool": resource(
        "AWS::Cognito::UserPool",
        LambdaConfig={"CustomEmailSender": {"LambdaArn": arn("Function")}},
    ),
    "an alarm": resource("AWS::CloudWatch::Alarm", AlarmActions=[arn("Function")]),
    "a composite alarm": resource("AWS::CloudWatch::CompositeAlarm", OKActions=[arn("Function")]),
    "a destination": resource(
        "AWS::Lambda::EventInvokeConfig",
        FunctionName="theirs",
        DestinationConfig={"OnFailure": {"Destination": arn("Function")}},
    ),
}


@pytest.mark.parametrize("by", INVOKES)
def test_a_function_that_is_invoked_without_waiting_is_an_edge(by: str) -> None:
    found = edges(assembly(By=INVOKES[by], Function=FUNCTION, Role=role()))
    assert [(edge.kind, edge.target) for edge in found] == [("invoke", "Shop/Function")]


def test_a_method_that_waits_for_its_function_is_no_edge() -> None:
    by = copy.deepcopy(INVOKES["a method"])
    headers = by["Properties"]["Integration"]["RequestParameters"]
    headers["integration.request.header.X-Amz-Invocation-Type"] = "'RequestResponse'"
    assert edges(assembly(By=by, Function=FUNCTION, Role=role())) == []


def test_a_function_with_a_dead_letter_queue_is_invoked_without_waiting() -> None:
    function = resource("AWS::Lambda::Function", DeadLetterConfig={"TargetArn": arn("Parking")})
    (edge,) = edges(assembly(Function=function, Parking=QUEUE))
    assert (edge.kind, edge.target, edge.parking) == ("invoke", "Shop/Function", "Shop/Parking")


# -- workflows ------------------------------------------------------------------------------


def machine(definition: Any = None, **properties: Any) -> dict[str, Any]:
    return resource(
        "AWS::StepFunctions::StateMachine", Definition=definition or {"States": {}}, **properties
    )


def alarm(metric: str) -> dict[str, Any]:
    dimension = {"Name": "StateMachineArn", "Value": ref("Machine")}
    return resource(
        "AWS::CloudWatch::Alarm", MetricName=metric, AlarmActions=["x"], Dimensions=[dimension]
    )


def unnoticed(**resources: Any) -> list[str]:
    return [str(each) for each in losses(assembly(**resources)) if each.kind == "workflow"]


def test_an_execution_that_fails_raises_an_alarm() -> None:
    (finding,) = unnoticed(Machine=machine())
    assert finding.startswith("Shop/Machine: an execution that fails raises no alarm")
    assert unnoticed(Machine=machine(), Fails=alarm("ExecutionsThrottled")) != []
    assert unnoticed(Machine=machine(), Fails=alarm("ExecutionsFailed")) == []


def test_an_express_workflow_needs_no_alarm_if_all_its_callers_wait() -> None:
    express = machine(StateMachineType="EXPRESS")
    waits = role(allow("states:StartSyncExecution", ref("Machine")))
    starts = role(allow("states:StartExecution", ref("Machine")))
    assert unnoticed(Machine=express, Waits=waits) == []
    assert unnoticed(Machine=express) != []
    assert unnoticed(Machine=express, Waits=waits, Starts=starts) != []
    assert unnoticed(Machine=machine(), Waits=waits) != []


def task(integration: str, **more: Any) -> dict[str, Any]:
    return {"Type": "Task", "Resource": f"arn:aws:states:::{integration}", **more}


@pytest.mark.parametrize(
    ("state", "says"),
    [
        (task("ecs:runTask"), "does not wait for the work that ecs:runTask starts"),
        (task("batch:submitJob"), "does not wait for the work that batch:submitJob starts"),
        (
            task("aws-sdk:textract:startDocumentAnalysis"),
            "does not wait for the work that textract:startDocumentAnalysis starts",
        ),
        (task("sqs:sendMessage.waitForTaskToken"), "waits for its token up to a year"),
        (task("ecs:runTask.waitForTaskToken"), "waits for its token up to a year"),
    ],
)
def test_a_task_that_nobody_follows_is_a_finding(state: Any, says: str) -> None:
    parallel = {"Type": "Parallel", "Branches": [{"States": {"Inner": state}}]}
    mapped = {"Type": "Map", "ItemProcessor": {"States": {"Inner": parallel}}}
    (finding,) = not_understood(Machine=machine({"States": {"Outer": mapped}}))
    assert f"Shop/Machine: state 'Inner' {says}" in finding


@pytest.mark.parametrize(
    "state",
    [
        task("ecs:runTask.sync"),
        task("states:startExecution.sync:2"),
        task("aws-sdk:textract:detectDocumentText"),
        task("athena:getQueryResults"),
        task("sqs:sendMessage.waitForTaskToken", HeartbeatSeconds=60),
        {"Type": "Task", "Resource": "arn:aws:lambda:x:1:function:f"},
        {"Type": "Wait"},
    ],
)
def test_a_task_that_answers_is_none(state: Any) -> None:
    assert not_understood(Machine=machine({"States": {"Inner": state}})) == []


@pytest.mark.parametrize(
    "given", [{"DefinitionS3Location": {}}, {"DefinitionString": "{"}, {"Definition": ref("X")}]
)
def test_a_definition_that_cannot_be_read_is_a_finding(given: Any) -> None:
    (finding,) = not_understood(Machine=resource("AWS::StepFunctions::StateMachine", **given))
    assert "its definition is not in the template" in finding


# -- synchronous calls -----------------------------------------------------------------------


def test_calls_are_listed_by_who_calls_whom() -> None:
    method = resource("AWS::ApiGateway::Method", Integration={"Uri": arn("Function")})
    translate = "arn:aws:apigateway:x:translate:action/TranslateText"
    service = resource("AWS::ApiGateway::Method", Integration={"Type": "AWS", "Uri": translate})
    mock = resource("AWS::ApiGateway::Method", Integration={"Type": "MOCK"})
    found = calls(
        assembly(
            Method=method,
            Translate=service,
            Mock=mock,
            Function=FUNCTION,
            Role=role(allow("dynamodb:PutItem", arn("Items")), allow("dynamodb:Query", "*")),
            Items=resource("AWS::DynamoDB::Table"),
        )
    )
    assert [(each.source, each.target) for each in found] == [
        ("Shop/Function", "Shop/Items"),
        ("Shop/Method", "Shop/Function"),
        ("Shop/Translate", "x:translate:action/TranslateText"),
    ]


def test_the_post_office_sends_nothing_out_of_its_templates() -> None:
    assert losses(Assembly(post())) == []


def test_each_type_that_answers_calls_can_be_read_without_a_property() -> None:
    for type_ in sorted(SYNCHRONOUS):
        losses(assembly(One=resource(type_)))
