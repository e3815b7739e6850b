"""Functions: runtime, logs, environment variables and least privileges."""

from collections.abc import Iterator
from typing import Any

from cdk_rehearsal import Assembly, Resource, texts
from lambdas.analytics.settings import Settings as AnalyticsSettings
from lambdas.checkout.settings import Settings as CheckoutSettings
from lambdas.eventing import relay
from lambdas.eventing.callback import Callback, CallbackSettings
from lambdas.eventing.consumer import ConsumerSettings, QueueHandler
from lambdas.eventing.declaration import Handler
from lambdas.eventing.settings import Settings, TableSettings
from lambdas.eventing.stream import WindowConsumer
from lambdas.eventing.vault import VaultSettings
from lambdas.inventory.supplier_files import INCOMING, REPORTS
from lambdas.notifications.settings import PaceSettings
from lambdas.notifications.settings import Settings as NotificationsSettings
from lambdas.orders.settings import Settings as OrdersSettings
from lambdas.payments.settings import Settings as PaymentsSettings
from lambdas.privacy.settings import AccountSettings
from lambdas.privacy.settings import WorkflowSettings as ErasureSettings
from lambdas.returns.settings import WorkflowSettings
from lambdas.shipping.settings import Dispatch, ReminderSettings, RequestSettings
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
    "Privacy": TableSettings,
    "Returns": TableSettings,
    "Shipping": ShippingSettings,
}
"""The settings that the functions of a context read."""
OWN_SETTINGS: dict[str, type[Settings]] = {
    "Privacy/DeleteAccount": AccountSettings,
    "Privacy/StartErasure/Function": ErasureSettings,
    "Returns/StartReturn/Function": WorkflowSettings,
}
"""The settings that individual functions read instead."""
MORE_SETTINGS: dict[str, tuple[type[Settings], ...]] = {
    "Notifications/SendEmail/Function": (PaceSettings,),
    "Notifications/SendSms/Function": (PaceSettings,),
    "Shipping/RequestShipment/Function": (Dispatch, RequestSettings),
    "Shipping/TakeCarrierEvent": (ReminderSettings,),
}
"""The settings that individual functions read, too."""
KERNEL_SETTINGS: dict[type, type[Settings]] = {
    Callback: CallbackSettings,
    QueueHandler: ConsumerSettings,
    WindowConsumer: ConsumerSettings,
}
"""The additional settings of the kernel, by the kind of handler."""
WITHOUT_RESOURCE = {
    "cloudwatch:DescribeAlarms",
    "logs:CreateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:DescribeLogGroups",
    "logs:DescribeResourcePolicies",
    "logs:GetLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:UpdateLogDelivery",
}
"""Actions that cannot be limited to a resource, or which AWS's own policy for the service does not.

https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html
https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AWSCodeDeployRoleForLambdaLimited.html
"""
ASSUMED_BY = ("codedeploy", "events", "lambda", "scheduler", "states")
"""The services that assume roles of the shop."""
OBJECTS = {"s3:GetObjectVersion": INCOMING, "s3:PutObject": REPORTS}
"""Actions on files, whose names are not known in advance, with the prefix of their keys."""


def functions(shop: Assembly) -> list[Resource]:
    return shop.of_type("AWS::Lambda::Function")


def variables(function: Resource) -> dict[str, Any]:
    found: dict[str, Any] = function.properties["Environment"]["Variables"]
    return found


def settings_of(function: Resource) -> list[type[Settings]]:
    """The settings that the handler of a function reads."""
    handler = handler_of(function)
    if handler is relay.handler:
        return [relay.RelaySettings]
    kernel = [read for kind, read in KERNEL_SETTINGS.items() if isinstance(handler, kind)]
    if isinstance(handler, Handler) and handler.in_vault:
        kernel.append(VaultSettings)
    own = OWN_SETTINGS.get(function.path, SETTINGS[function.stack])
    return [own, *MORE_SETTINGS.get(function.path, ()), *kernel]


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
    """The resources on which a role has any permission of a service."""
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


def test_functions_use_the_current_runtime_on_arm(shop: Assembly) -> None:
    for function in functions(shop):
        assert function.properties["Runtime"] == f"python{PYTHON_VERSION}", function
        assert function.properties["Architectures"] == ["arm64"], function


def test_each_function_uses_the_layer_of_its_stack(shop: Assembly) -> None:
    for function in functions(shop):
        (layer,) = function.properties["Layers"]
        assert shop.find(function.stack, layer) in shop.of_type("AWS::Lambda::LayerVersion")


def test_each_function_has_enough_time_and_no_more_than_its_caller_waits(shop: Assembly) -> None:
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


WAITING = {"Checkout/RunCheckout", "Payments/CapturePayment", "Shipping/RequestShipment"}
"""Consumers that mostly wait for a workflow or a partner."""


def test_each_function_has_at_least_512_mb_unless_it_waits_and_no_reserved_concurrency(
    shop: Assembly,
) -> None:
    """At 1,769 MB, a function has one full processor.

    https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
    """
    for function in functions(shop):
        least = 256 if function.path.removesuffix("/Function") in WAITING else 512
        assert least <= function.properties["MemorySize"] <= 1769, function
        assert "ReservedConcurrentExecutions" not in function.properties, function


def test_spans_in_the_log_replace_traces_and_reports(shop: Assembly) -> None:
    """Of the platform's lines, those of failures stay.

    https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html
    """
    for function in functions(shop):
        assert "TracingConfig" not in function.properties, function
        logging = function.properties["LoggingConfig"]
        assert logging["SystemLogLevel"] == "WARN", function
        assert logging.get("ApplicationLogLevel", "INFO") == "INFO", function
    for machine in shop.of_type("AWS::StepFunctions::StateMachine"):
        assert "TracingConfiguration" not in machine.properties, machine


def test_each_function_logs_json_to_its_own_group_with_a_retention_period(shop: Assembly) -> None:
    groups = set()
    for function in functions(shop):
        logging = function.properties["LoggingConfig"]
        assert logging["LogFormat"] == "JSON"
        group = shop.referred(function.stack, logging["LogGroup"])
        assert group.properties["RetentionInDays"] > 0
        groups.add((group.stack, group.logical_id))
    assert len(groups) == len(functions(shop))


def test_every_log_group_has_a_retention_period_of_at_least_a_week(shop: Assembly) -> None:
    for group in shop.of_type("AWS::Logs::LogGroup"):
        assert group.properties.get("RetentionInDays", 0) >= 7, f"{group}: at least a week"


def test_each_function_has_its_own_role(shop: Assembly) -> None:
    roles = [shop.referred(f.stack, f.properties["Role"]).path for f in functions(shop)]
    assert len(set(roles)) == len(roles)


def test_each_role_is_for_one_service_and_a_schedulers_role_for_one_group(shop: Assembly) -> None:
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


def test_no_role_has_an_aws_managed_policy(shop: Assembly) -> None:
    for role in shop.of_type("AWS::IAM::Role"):
        assert "ManagedPolicyArns" not in role.properties, role


def test_no_permission_has_a_wildcard_in_its_action(shop: Assembly) -> None:
    for policy, statement in allowed(shop):
        assert not [a for a in listed(statement["Action"]) if "*" in a], policy


def test_only_actions_without_resource_level_permissions_allow_all_resources(
    shop: Assembly,
) -> None:
    for policy, statement in allowed(shop):
        if "*" in listed(statement.get("Resource")):
            assert set(listed(statement["Action"])) <= WITHOUT_RESOURCE, policy


def test_resources_have_wildcards_only_for_names_that_are_not_known_in_advance(
    shop: Assembly,
) -> None:
    """These are files under a prefix, schedules of a group, and identities of an e-mail."""
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
            elif action in {"scheduler:CreateSchedule", "scheduler:DeleteSchedule"}:
                assert resource["Fn::Join"][1][-1] in groups, policy
            else:
                bucket, key = resource["Fn::Join"][1]
                assert shop.referred(policy.stack, bucket).type == "AWS::S3::Bucket", policy
                assert key == f"/{OBJECTS[action]}*", policy
    schedules = {"scheduler:CreateSchedule", "scheduler:DeleteSchedule"}
    assert found == {"ses:SendEmail", *schedules, *OBJECTS}


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


def test_only_the_sms_sender_has_a_permission_with_excluded_resources(shop: Assembly) -> None:
    """A phone number has no ARN, so the permission excludes all topics instead."""
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


def test_no_role_may_access_the_table_of_another_context(shop: Assembly) -> None:
    for policy, statement in allowed(shop):
        if not any(action.startswith("dynamodb:") for action in listed(statement["Action"])):
            continue
        for resource in listed(statement["Resource"]):
            table = table_of(shop, policy.stack, resource)
            # tests/stacks/test_declarations.py checks how they use the vault.
            assert table.stack == policy.stack or table.path == "Backbone/Vault/Table", policy


def table_of(shop: Assembly, stack: str, resource: Any) -> Resource:
    """The table of a resource in a statement, which is a table or an index."""
    match resource:
        case {"Fn::Join": ["", [reference, index]]}:
            table = shop.referred(stack, reference)
            names = {each["IndexName"] for each in table.properties["GlobalSecondaryIndexes"]}
            assert index.removeprefix("/index/") in names, table
            return table
    return shop.referred(stack, resource)


def test_each_function_has_exactly_the_variables_that_its_handler_reads(shop: Assembly) -> None:
    for function in functions(shop):
        given = {name for name in variables(function) if not name.startswith("POWERTOOLS_")}
        read = {field.upper() for cls in settings_of(function) for field in cls.__struct_fields__}
        assert given == read, function


def test_the_variables_of_each_function_can_be_decoded(shop: Assembly) -> None:
    for function in functions(shop):
        environ = {name: str(value) for name, value in variables(function).items()}
        for cls in settings_of(function):
            cls.from_environ(environ)


def test_logs_and_metrics_have_the_name_of_the_context(shop: Assembly, stage: str) -> None:
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


def test_only_the_api_may_invoke_functions_through_resource_policies(shop: Assembly) -> None:
    for permission in shop.of_type("AWS::Lambda::Permission"):
        assert permission.properties["Principal"] == "apigateway.amazonaws.com", permission
        assert "SourceArn" in permission.properties, permission


def test_each_function_may_access_the_table_in_its_variables(shop: Assembly) -> None:
    without = set()
    for function in functions(shop):
        if name := variables(function).get("TABLE_NAME"):
            table = shop.referred(function.stack, name).path
            if table not in granted(shop, role_of(shop, function), "dynamodb"):
                without.add(function.path)
    # It has the settings of its context, but only puts records on a stream.
    assert without == {"Analytics/RecordActivity"}


def test_a_workflow_may_invoke_its_steps_and_nothing_else(shop: Assembly) -> None:
    for machine in shop.of_type("AWS::StepFunctions::StateMachine"):
        role = shop.referred(machine.stack, machine.properties["RoleArn"])
        wanted = {
            function for (path, _), function in steps_of(shop).items() if path == machine.path
        }
        assert granted(shop, role, "lambda") == wanted, machine


def test_errors_and_throttles_of_each_function_have_alarms(shop: Assembly) -> None:
    for metric in ("Errors", "Throttles"):
        watched = {
            shop.referred(alarm.stack, dimension["Value"]).path
            for alarm in shop.of_type("AWS::CloudWatch::Alarm")
            if alarm.properties.get("Namespace") == "AWS/Lambda"
            if alarm.properties["MetricName"] == metric
            for dimension in alarm.properties["Dimensions"]
        }
        assert watched == {function.path for function in functions(shop)}
