"""Functions that are invoked without waiting, by services that no rule, topic or bucket stands for.

The service queues the event, and the function's own settings say how it is retried and parked.
"""

import re
from collections.abc import Iterator
from typing import Any

from cdk_rehearsal.assembly import Assembly, listed, nodes
from cdk_rehearsal.topology.values import table

_INVOCATION = re.compile(r"integration\.request\.header\.x-amz-invocation-type", re.IGNORECASE)
_ACTIONS = ("AlarmActions", "InsufficientDataActions", "OKActions")
_SENDERS = ("CustomEmailSender", "CustomSMSSender")


def invoked_in_background(assembly: Assembly) -> Iterator[tuple[str, Any]]:
    """Yields references to functions, each with its stack."""
    yield from _by_methods(assembly)
    yield from _by_user_pools(assembly)
    yield from _by_alarms(assembly)
    yield from _by_functions(assembly)


def _by_methods(assembly: Assembly) -> Iterator[tuple[str, Any]]:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-integration-async.html."""
    for api in assembly.all_of("AWS::ApiGateway::Method", "AWS::ApiGateway::RestApi"):
        for node in nodes(api.properties):
            # Its names begin with small letters in an OpenAPI document.
            integration = {name.lower(): value for name, value in table(node).items()}
            headers = table(integration.get("requestparameters"))
            values = [headers[name] for name in headers if _INVOCATION.fullmatch(name)]
            # The client may decide, by a header of its own.
            if any(value != "'RequestResponse'" for value in values):
                for found in assembly.references(api.stack, integration.get("uri")):
                    yield found.stack, {"Ref": found.logical_id}


def _by_user_pools(assembly: Assembly) -> Iterator[tuple[str, Any]]:
    """All other triggers of a pool are synchronous.

    https://docs.aws.amazon.com/cognito/latest/developerguide/cognito-user-pools-working-with-lambda-triggers.html
    """
    for pool in assembly.all_of("AWS::Cognito::UserPool"):
        for name in _SENDERS:
            yield (
                pool.stack,
                table(table(pool.properties.get("LambdaConfig")).get(name)).get("LambdaArn"),
            )


def _by_alarms(assembly: Assembly) -> Iterator[tuple[str, Any]]:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-actions-Lambda.html."""
    for alarm in assembly.all_of("AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm"):
        for name in _ACTIONS:
            for action in listed(alarm.properties.get(name)):
                yield alarm.stack, action


def _by_functions(assembly: Assembly) -> Iterator[tuple[str, Any]]:
    """Destinations, and functions with a dead-letter queue, which has no other purpose.

    https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
    """
    for config in assembly.all_of("AWS::Lambda::EventInvokeConfig"):
        for destination in table(config.properties.get("DestinationConfig")).values():
            yield config.stack, table(destination).get("Destination")
    for function in assembly.all_of("AWS::Lambda::Function"):
        if "DeadLetterConfig" in function.properties:
            yield function.stack, {"Ref": function.logical_id}
