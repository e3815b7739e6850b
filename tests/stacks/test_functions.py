"""Functions: current, traced, logged, told what they read, and allowed what they need."""

from collections.abc import Iterator
from typing import Any

from cdk_rehearsal import Assembly, Resource, texts
from lambdas.analytics.settings import Settings as AnalyticsSettings
from lambdas.checkout.settings import Settings as CheckoutSettings
from lambdas.eventing import relay
from lambdas.eventing.callback import Callback, CallbackSettings
from lambdas.eventing.consumer import ConsumerSettings, QueueHandler
from lambdas.eventing.settings import Settings, TableSettings
from lambdas.eventing.stream import WindowConsumer
from lambdas.inventory.supplier_files import INCOMING, REPORTS
from lambdas.notifications.settings import Settings as NotificationsSettings
from lambdas.orders.settings import Settings as OrdersSettings
from lambdas.payments.settings import Settings as PaymentsSettings
from lambdas.returns.settings import WorkflowSettings
from lambdas.shipping.settings import RequestSettings
from lambdas.shipping.settings import Settings as ShippingSettings
from stacks.constructs.packaging import PYTHON_VERSION
from tests.stacks.hops import role_of
from tests.support.handlers import handler_of

SETTINGS: dict[str, type[Settings]] = {
    "Analytics": AnalyticsSettings,
    "Checkout": CheckoutSettings,
    "Inventory": TableSettings,
    "Notifications": NotificationsSettings,
    "Orders": OrdersSettings,
    "Payments": PaymentsSettings,
    "Returns": TableSettings,
    "Shipping": ShippingSettings,
}
"""What the functions of a context read."""
OWN_SETTINGS: dict[str, type[Settings]] = {
    "Returns/StartReturn/Function": WorkflowSettings,
    "Shipping/RequestShipment/Function": RequestSettings,
}
"""What single functions read instead."""
KERNEL_SETTINGS: dict[type, type[Settings]] = {
    Callback: CallbackSettings,
    QueueHandler: ConsumerSettings,
    WindowConsumer: ConsumerSettings,
}
"""What the kernel reads too, by the kind of handler."""
WITHOUT_RESOURCE = {
    "xray:PutTelemetryRecords",
    "xray:PutTraceSegments",
    "xray:GetSamplingRules",
    "xray:GetSamplingTargets",
    "logs:CreateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:DescribeLogGroups",
    "logs:DescribeResourcePolicies",
    "logs:GetLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:UpdateLogDelivery",
}
"""Actions that cannot be limited to a resource.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsx-ray.html
https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html
"""
ASSUMED_BY = ("events", "lambda", "scheduler", "states")
"""The services that act as roles of the shop."""
OBJECTS = {"s3:GetObjectVersion": INCOMING, "s3:PutObject": REPORTS}
"""Actions on files, whose names are not known beforehand, and under which prefix."""


def functions(shop: Assembly) -> list[Resource]:
    return shop.of_type("AWS::Lambda::Function")


def variables(function: Resource) -> dict[str, Any]:
    found: dict[str, Any] = function.properties["Environment"]["Variables"]
    return found


def settings_of(function: Resource) -> list[type[Settings]]:
    """What the handler of a function reads."""
    handler = handler_of(function)
    if handler is relay.handler:
        return [relay.RelaySettings]
    kernel = [read for kind, read in KERNEL_SETTINGS.items() if isinstance(handler, kind)]
    return [OWN_SETTINGS.get(function.path, SETTINGS[function.stack]), *kernel]


def allowed(shop: Assembly) -> Iterator[tuple[Resource, dict[str, Any]]]:
    for policy in shop.of_type("AWS::IAM::Policy"):
        for statement in policy.properties["PolicyDocument"]["Statement"]:
            if statement["Effect"] == "Allow":
                yield policy, statement


def steps_of(shop: Assembly) -> dict[tuple[str, str], str]:
    """The functions that workflows invoke, by workflow and state."""
    return {
        (machine.path, name): state["Parameters"]["FunctionName"]
        for machine in shop.of_type("AWS::StepFunctions::StateMachine")
        for name, state in shop.definition(machine)["States"].items()
        if state["Type"] == "Task"
    }


def granted(shop: Assembly, role: Resource, service: str) -> set[str]:
    """The resources with which a role may do something of a service."""
    return {
        resource.path
        for policy, statement in allowed(shop)
        if role in [shop.referred(policy.stack, each) for each in policy.properties["Roles"]]
        if any(action.startswith(f"{service}:") for action in listed(statement["Action"]))
        for named in listed(statement.get("Resource", []))
        if (resource := shop.find(policy.stack, named))
    }


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_they_run_on_the_current_runtime_and_on_arm(shop: Assembly) -> None:
    for function in functions(shop):
        assert function.properties["Runtime"] == f"python{PYTHON_VERSION}", function
        assert function.properties["Architectures"] == ["arm64"], function


def test_each_finds_its_libraries_in_the_layer_of_its_stack(shop: Assembly) -> None:
    for function in functions(shop):
        (layer,) = function.properties["Layers"]
        assert shop.find(function.stack, layer) in shop.of_type("AWS::Lambda::LayerVersion")


def test_each_has_time_for_its_work_and_no_more_than_its_caller_waits(shop: Assembly) -> None:
    """API Gateway waits for 30 seconds, and Lambda lets nothing run longer than 15 minutes.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html
    https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
    """
    answering = {
        shop.referred(integration.stack, integration.properties["IntegrationUri"]).path
        for integration in shop.of_type("AWS::ApiGatewayV2::Integration")
    }
    steps = set(steps_of(shop).values())
    assert answering
    assert steps
    for function in functions(shop):
        longest = 29 if function.path in answering | steps else 900
        assert 10 <= function.properties["Timeout"] <= longest, function


def test_each_has_a_third_of_a_processor_and_its_share_of_the_accounts_concurrency(
    shop: Assembly,
) -> None:
    """A function has a processor of its own from 1,769 MB on.

    https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
    """
    for function in functions(shop):
        assert 512 <= function.properties["MemorySize"] <= 1769, function
        assert "ReservedConcurrentExecutions" not in function.properties, function


def test_they_are_traced(shop: Assembly) -> None:
    for function in functions(shop):
        assert function.properties["TracingConfig"] == {"Mode": "Active"}, function


def test_each_logs_json_to_a_group_of_its_own_that_forgets(shop: Assembly) -> None:
    groups = set()
    for function in functions(shop):
        logging = function.properties["LoggingConfig"]
        assert logging["LogFormat"] == "JSON"
        group = shop.referred(function.stack, logging["LogGroup"])
        assert group.properties["RetentionInDays"] > 0
        groups.add((group.stack, group.logical_id))
    assert len(groups) == len(functions(shop))


def test_every_log_group_forgets(shop: Assembly) -> None:
    for group in shop.of_type("AWS::Logs::LogGroup"):
        assert group.properties.get("RetentionInDays", 0) >= 7, f"{group}: a week, to look into it"


def test_each_has_a_role_of_its_own(shop: Assembly) -> None:
    roles = [shop.referred(f.stack, f.properties["Role"]).path for f in functions(shop)]
    assert len(set(roles)) == len(roles)


def test_each_role_is_for_one_service_and_the_schedulers_for_one_group(shop: Assembly) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html."""
    for role in shop.of_type("AWS::IAM::Role"):
        (statement,) = role.properties["AssumeRolePolicyDocument"]["Statement"]
        (service,) = statement["Principal"].values()
        assert statement["Principal"].keys() == {"Service"}, role
        assert service in {f"{name}.amazonaws.com" for name in ASSUMED_BY}, role
        if service == "scheduler.amazonaws.com":
            condition = statement["Condition"]["StringEquals"]
            assert condition["aws:SourceAccount"] == {"Ref": "AWS::AccountId"}, role
            group = shop.referred(role.stack, condition["aws:SourceArn"])
            assert group.type == "AWS::Scheduler::ScheduleGroup", role


def test_no_role_has_a_policy_that_aws_manages(shop: Assembly) -> None:
    for role in shop.of_type("AWS::IAM::Role"):
        assert "ManagedPolicyArns" not in role.properties, role


def test_no_role_may_use_an_action_with_a_wildcard(shop: Assembly) -> None:
    for policy, statement in allowed(shop):
        assert not [a for a in listed(statement["Action"]) if "*" in a], policy


def test_a_role_may_use_all_resources_only_where_aws_leaves_no_choice(shop: Assembly) -> None:
    for policy, statement in allowed(shop):
        if "*" in listed(statement.get("Resource")):
            assert set(listed(statement["Action"])) <= WITHOUT_RESOURCE, policy


def test_a_part_of_a_resource_has_a_wildcard_only_where_its_name_is_not_known(
    shop: Assembly,
) -> None:
    """Files under a prefix, schedules of a group, and the identities that an e-mail concerns."""
    groups = {
        f":schedule/{group.properties['Name']}/*"
        for group in shop.of_type("AWS::Scheduler::ScheduleGroup")
    }
    found = set()
    for policy, statement in allowed(shop):
        for resource in listed(statement.get("Resource")):
            if "*" not in texts(resource) or resource == "*":
                continue
            (action,) = listed(statement["Action"])
            found.add(action)
            if action == "ses:SendEmail":
                assert texts(resource).endswith((":identity/*", ":configuration-set/*")), policy
                assert statement["Condition"]["StringEquals"].keys() == {"ses:FromAddress"}
            elif action == "scheduler:CreateSchedule":
                assert resource["Fn::Join"][1][-1] in groups, policy
            else:
                bucket, key = resource["Fn::Join"][1]
                assert shop.referred(policy.stack, bucket).type == "AWS::S3::Bucket", policy
                assert key == f"/{OBJECTS[action]}*", policy
    assert found == {"scheduler:CreateSchedule", "ses:SendEmail", *OBJECTS}


def test_only_one_function_sends_e_mail_and_only_from_the_shop(shop: Assembly) -> None:
    """SES also checks the permission on the recipient's identity, if the account has verified it.

    https://docs.aws.amazon.com/ses/latest/dg/control-user-access.html
    """
    ((policy, statement),) = [
        (policy, statement)
        for policy, statement in allowed(shop)
        if any(action.startswith("ses:") for action in listed(statement["Action"]))
    ]
    (role,) = policy.properties["Roles"]
    sender = shop.at("Notifications/SendEmail/Function")
    assert shop.referred(policy.stack, role) == role_of(shop, sender)
    assert statement["Action"] == "ses:SendEmail"
    account = "arn:AWS::Partition:ses:AWS::Region:AWS::AccountId"
    assert {texts(resource) for resource in statement["Resource"]} == {
        f"{account}:identity/*",
        f"{account}:configuration-set/*",
    }
    address = variables(sender)["EMAIL_SENDER"]
    assert statement["Condition"] == {"StringEquals": {"ses:FromAddress": address}}


def test_one_role_may_do_something_with_all_but_some_resources(shop: Assembly) -> None:
    """A phone number has no ARN: only a policy that excludes all topics leaves those alone."""
    ((policy, statement),) = [
        (policy, statement) for policy, statement in allowed(shop) if "Resource" not in statement
    ]
    (role,) = policy.properties["Roles"]
    assert shop.referred(policy.stack, role).path == "Notifications/SendSms/FunctionRole"
    assert statement["Action"] == "sns:Publish"
    assert statement["NotResource"]["Fn::Join"][1] == [
        "arn:",
        {"Ref": "AWS::Partition"},
        ":sns:*:*:*",
    ]


def test_no_role_may_touch_the_table_of_another_context(shop: Assembly) -> None:
    for policy, statement in allowed(shop):
        if not any(action.startswith("dynamodb:") for action in listed(statement["Action"])):
            continue
        for resource in listed(statement["Resource"]):
            assert table_of(shop, policy.stack, resource).stack == policy.stack, policy


def table_of(shop: Assembly, stack: str, resource: Any) -> Resource:
    """The table that a resource of a statement is, or of which it is an index."""
    match resource:
        case {"Fn::Join": ["", [reference, index]]}:
            table = shop.referred(stack, reference)
            names = {each["IndexName"] for each in table.properties["GlobalSecondaryIndexes"]}
            assert index.removeprefix("/index/") in names, table
            return table
    return shop.referred(stack, resource)


def test_each_is_told_what_its_handler_reads_and_nothing_else(shop: Assembly) -> None:
    for function in functions(shop):
        told = {name for name in variables(function) if not name.startswith("POWERTOOLS_")}
        read = {field.upper() for cls in settings_of(function) for field in cls.__struct_fields__}
        assert told == read, function


def test_what_they_are_told_can_be_read(shop: Assembly) -> None:
    for function in functions(shop):
        environ = {name: str(value) for name, value in variables(function).items()}
        for cls in settings_of(function):
            cls.from_environ(environ)


def test_logs_and_metrics_carry_the_name_of_the_context(shop: Assembly, stage: str) -> None:
    for function in functions(shop):
        assert variables(function)["POWERTOOLS_SERVICE_NAME"] == function.stack.lower()
        assert variables(function)["POWERTOOLS_METRICS_NAMESPACE"] == f"Orderflow/{stage}"


def test_each_handler_can_be_called(shop: Assembly) -> None:
    for function in functions(shop):
        assert callable(handler_of(function)), function


def test_a_function_belongs_to_the_context_of_its_handler(shop: Assembly) -> None:
    for function in functions(shop):
        context = function.properties["Handler"].split(".")[1]
        assert context in {function.stack.lower(), "eventing"}, function


def test_only_who_is_named_may_invoke(shop: Assembly) -> None:
    for permission in shop.of_type("AWS::Lambda::Permission"):
        assert permission.properties["Principal"] == "apigateway.amazonaws.com", permission
        assert "SourceArn" in permission.properties, permission


def test_each_may_use_the_table_that_it_is_told_of(shop: Assembly) -> None:
    without = set()
    for function in functions(shop):
        if name := variables(function).get("TABLE_NAME"):
            table = shop.referred(function.stack, name).path
            if table not in granted(shop, role_of(shop, function), "dynamodb"):
                without.add(function.path)
    # It reads the settings of its context, and puts what it gets on a stream.
    assert without == {"Analytics/RecordActivity"}


def test_a_workflow_may_invoke_its_steps_and_nothing_else(shop: Assembly) -> None:
    for machine in shop.of_type("AWS::StepFunctions::StateMachine"):
        role = shop.referred(machine.stack, machine.properties["RoleArn"])
        wanted = {
            function for (path, _), function in steps_of(shop).items() if path == machine.path
        }
        assert granted(shop, role, "lambda") == wanted, machine


def test_errors_and_throttles_of_each_are_alarms(shop: Assembly) -> None:
    for metric in ("Errors", "Throttles"):
        watched = {
            shop.referred(alarm.stack, dimension["Value"]).path
            for alarm in shop.of_type("AWS::CloudWatch::Alarm")
            if alarm.properties.get("Namespace") == "AWS/Lambda"
            if alarm.properties["MetricName"] == metric
            for dimension in alarm.properties["Dimensions"]
        }
        assert watched == {function.path for function in functions(shop)}
