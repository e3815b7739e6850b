"""How resources are updated and deleted while an application runs. Functions: see `lambda_`."""

import json
from typing import Any

from botocore import xform_name

from cdk_rehearsal.deployment import Deployment
from cdk_rehearsal.kinds import WITHOUT_PART
from cdk_rehearsal.properties import Properties
from cdk_rehearsal.resources.codedeploy import CONFIG, GROUP
from cdk_rehearsal.resources.cognito import CLIENT_SETTINGS
from cdk_rehearsal.resources.registry import (
    Release,
    Resource,
    deletes,
    updates,
    updates_anew,
)
from cdk_rehearsal.resources.sqs import QUEUE_ATTRIBUTES, attributes_of, redrive_policy
from cdk_rehearsal.resources.stepfunctions import definition_of, revision_of

# Their creators put what is described in place of what was there.
updates_anew("AWS::CloudWatch::Alarm", except_for=("AlarmName",))
updates_anew("AWS::Events::Rule", "EventPattern", "State")
updates_anew("AWS::IAM::Policy", "PolicyDocument")
updates_anew("AWS::SNS::TopicPolicy", "PolicyDocument")
updates_anew("AWS::SQS::QueuePolicy", "PolicyDocument")
# A version cannot be changed: an update publishes another one.
updates_anew("AWS::Lambda::LayerVersion")
updates_anew("AWS::StepFunctions::StateMachineVersion")
updates_anew(CONFIG, except_for=("DeploymentConfigName",))
updates_anew(GROUP, except_for=("ApplicationName", "DeploymentGroupName"))


@updates("AWS::SQS::Queue", *QUEUE_ATTRIBUTES, "RedrivePolicy")
def update_queue(
    deployment: Deployment, resource: Resource, properties: Properties, _: Release
) -> None:
    """Changes the attributes of a queue.

    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
    """
    deployment.client("sqs").set_queue_attributes(
        QueueUrl=resource.physical_id,
        Attributes={
            **attributes_of(properties),
            **redrive_policy(deployment, properties, resource.attributes["Arn"]),
        },
    )


@updates(
    "AWS::StepFunctions::StateMachine",
    *("Definition", "DefinitionString", "DefinitionSubstitutions", "TracingConfiguration"),
)
def update_state_machine(
    deployment: Deployment, resource: Resource, properties: Properties, release: Release
) -> None:
    """Changes the definition of a state machine, for executions that start from now on.

    https://docs.aws.amazon.com/step-functions/latest/apireference/API_UpdateStateMachine.html
    """
    arn, definition = resource.physical_id, definition_of(properties)
    deployment.state_machines.update(arn, definition, release.name, release.mixing)
    revision = revision_of(arn, properties.require("RoleArn"), definition)
    resource.attributes["StateMachineRevisionId"] = revision


@updates("AWS::EventsV2::Subscriber", "FilterConfiguration", "RetryPolicy", "State")
def update_subscriber(
    deployment: Deployment, resource: Resource, properties: Properties, _: Release
) -> None:
    """Changes what a subscriber takes, and how it retries.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-update.html
    """
    stated = properties.pick("FilterConfiguration", "RetryPolicy", "State")
    deployment.client("eventbridgev2").update_subscriber(
        SubscriberArn=resource.physical_id, **numbered(stated)
    )


@updates("AWS::SNS::Subscription", "FilterPolicy", "FilterPolicyScope")
def update_subscription(
    deployment: Deployment, resource: Resource, properties: Properties, _: Release
) -> None:
    """Changes the filter of a subscription.

    https://docs.aws.amazon.com/sns/latest/api/API_SetSubscriptionAttributes.html
    """
    for name, default in (("FilterPolicyScope", "MessageAttributes"), ("FilterPolicy", {})):
        value = properties.take(name, default)
        deployment.client("sns").set_subscription_attributes(
            SubscriptionArn=resource.physical_id,
            AttributeName=name,
            AttributeValue=value if isinstance(value, str) else json.dumps(value),
        )


@updates("AWS::Cognito::UserPoolClient", *CLIENT_SETTINGS)
def update_user_pool_client(
    deployment: Deployment, resource: Resource, properties: Properties, _: Release
) -> None:
    """Changes the settings of a client of a user pool.

    https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_UpdateUserPoolClient.html
    """
    deployment.client("cognito-idp").update_user_pool_client(
        ClientId=resource.physical_id, **properties.pick("UserPoolId", *CLIENT_SETTINGS)
    )


@updates("AWS::ApiGatewayV2::Stage", "DefaultRouteSettings", "RouteSettings", "StageVariables")
def update_stage(
    deployment: Deployment, resource: Resource, properties: Properties, _: Release
) -> None:
    """Changes the settings of a stage. The API reads them from the resource: moto keeps none.

    https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/apis-apiid-stages-stagename.html
    """


def numbered(stated: Any) -> Any:
    """Returns values of a template as an API takes them: it takes no texts for numbers."""
    if isinstance(stated, dict):
        return {name: numbered(value) for name, value in stated.items()}
    return int(stated) if isinstance(stated, str) and stated.isdecimal() else stated


# -- deletions ----------------------------------------------------------------------------


def _delete_nothing(deployment: Deployment, resource: Resource) -> None:
    """Deletes a resource that is nothing but a name, or a part of another one."""


for _type in (
    *WITHOUT_PART,
    *("AWS::Lambda::LayerVersion", "AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy"),
    *(CONFIG, GROUP),
):
    deletes(_type)(_delete_nothing)


def _deletes_by_id(resource_type: str, service: str, operation: str, parameter: str) -> None:
    """Registers a call that takes nothing but the physical id."""

    @deletes(resource_type)
    def delete(deployment: Deployment, resource: Resource) -> None:
        call = getattr(deployment.client(service), xform_name(operation))
        call(**{parameter: resource.physical_id})


_deletes_by_id("AWS::EventsV2::Subscriber", "eventbridgev2", "DeleteSubscriber", "SubscriberArn")
_deletes_by_id("AWS::Logs::LogGroup", "logs", "DeleteLogGroup", "logGroupName")
_deletes_by_id("AWS::SNS::Subscription", "sns", "Unsubscribe", "SubscriptionArn")
_deletes_by_id("AWS::Scheduler::ScheduleGroup", "scheduler", "DeleteScheduleGroup", "Name")
_deletes_by_id(
    "AWS::StepFunctions::StateMachine", "stepfunctions", "DeleteStateMachine", "stateMachineArn"
)


@deletes("AWS::Cognito::UserPoolClient")
def delete_user_pool_client(deployment: Deployment, resource: Resource) -> None:
    """Deletes a client of a user pool."""
    deployment.client("cognito-idp").delete_user_pool_client(
        ClientId=resource.physical_id, UserPoolId=resource.properties["UserPoolId"]
    )


@deletes("AWS::Cognito::UserPoolGroup")
def delete_user_pool_group(deployment: Deployment, resource: Resource) -> None:
    """Deletes a group of a user pool."""
    deployment.client("cognito-idp").delete_group(
        GroupName=resource.physical_id, UserPoolId=resource.properties["UserPoolId"]
    )


@deletes("AWS::Scheduler::Schedule")
def delete_schedule(deployment: Deployment, resource: Resource) -> None:
    """Deletes a schedule."""
    group = resource.properties.get("GroupName", "default")
    deployment.client("scheduler").delete_schedule(Name=resource.physical_id, GroupName=group)


@deletes("AWS::CloudWatch::Alarm")
def delete_alarm(deployment: Deployment, resource: Resource) -> None:
    """Deletes an alarm."""
    deployment.client("cloudwatch").delete_alarms(AlarmNames=[resource.physical_id])


@deletes("AWS::Events::Rule")
def delete_rule(deployment: Deployment, resource: Resource) -> None:
    """Deletes a rule, after its targets.

    https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_DeleteRule.html
    """
    client = deployment.client("events")
    bus, _, name = resource.physical_id.rpartition("|")
    rule = {"Rule": name, "EventBusName": bus or "default"}
    if ids := [each["Id"] for each in client.list_targets_by_rule(**rule)["Targets"]]:
        client.remove_targets(**rule, Ids=ids)
    client.delete_rule(Name=name, EventBusName=bus or "default")


@deletes("AWS::IAM::Policy")
def delete_policy(deployment: Deployment, resource: Resource) -> None:
    """Deletes an inline policy from its roles."""
    for role in resource.properties["Roles"]:
        deployment.client("iam").delete_role_policy(
            RoleName=role, PolicyName=resource.properties["PolicyName"]
        )


@deletes("AWS::IAM::Role")
def delete_role(deployment: Deployment, resource: Resource) -> None:
    """Deletes a role with its own policies.

    https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteRole.html
    """
    client, name = deployment.client("iam"), resource.physical_id
    for policy in client.list_role_policies(RoleName=name)["PolicyNames"]:
        client.delete_role_policy(RoleName=name, PolicyName=policy)
    for policy in client.list_attached_role_policies(RoleName=name)["AttachedPolicies"]:
        client.detach_role_policy(RoleName=name, PolicyArn=policy["PolicyArn"])
    client.delete_role(RoleName=name)


@deletes("AWS::Lambda::Permission")
def delete_permission(deployment: Deployment, resource: Resource) -> None:
    """Removes a statement from the policy of a function."""
    function = deployment.lambdas.functions.get(resource.properties["FunctionName"])
    if function is not None:
        statements = function.policy["Statement"]
        statements[:] = [each for each in statements if each["Sid"] != resource.logical_id]


@deletes("AWS::SQS::Queue")
def delete_queue(deployment: Deployment, resource: Resource) -> None:
    """Deletes a queue with its messages."""
    deployment.queues.remove(resource.attributes["Arn"])
    deployment.client("sqs").delete_queue(QueueUrl=resource.physical_id)


@deletes("AWS::ApiGatewayV2::Route")
def delete_route(deployment: Deployment, resource: Resource) -> None:
    """Deletes a route of an API."""
    deployment.client("apigatewayv2").delete_route(
        ApiId=resource.properties["ApiId"], RouteId=resource.physical_id
    )


@deletes("AWS::ApiGatewayV2::Integration")
def delete_integration(deployment: Deployment, resource: Resource) -> None:
    """Deletes an integration of an API."""
    deployment.client("apigatewayv2").delete_integration(
        ApiId=resource.properties["ApiId"], IntegrationId=resource.physical_id
    )
