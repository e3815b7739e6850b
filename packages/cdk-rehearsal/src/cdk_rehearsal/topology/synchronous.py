"""Synchronous integrations: the caller waits for the answer, so it learns of each failure.

They are no edges. An application may consist of nothing else: this list shows what was read of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from cdk_rehearsal.assembly import Assembly, Resource, texts
from cdk_rehearsal.topology.statements import is_general, resources_of, role_of, role_statements
from cdk_rehearsal.topology.values import table

_FRONTS = (
    "AWS::ApiGateway::Authorizer",
    "AWS::ApiGateway::Method",
    "AWS::ApiGateway::RestApi",
    "AWS::ApiGatewayV2::Api",
    "AWS::ApiGatewayV2::Authorizer",
    "AWS::ApiGatewayV2::Integration",
    "AWS::CloudFront::Distribution",
    "AWS::Cognito::UserPool",
    "AWS::ElasticLoadBalancingV2::TargetGroup",
    "AWS::Lambda::Url",
)
"""Types that pass requests on to the resources that they name."""

_ACTORS = ("AWS::Lambda::Function", "AWS::StepFunctions::StateMachine")

_NEVER_ANSWER = (
    *("AWS::IAM::", "AWS::KMS::", "AWS::EC2::", "AWS::Logs::", "AWS::ApiGateway::Resource"),
    *("AWS::CDK::", "AWS::CertificateManager::", "AWS::CloudWatch::", "AWS::WAFv2::", "Custom::"),
    *("AWS::ApiGateway::Re", "AWS::ApiGateway::Model", "AWS::ApiGateway::Authorizer"),
    *("AWS::ApiGatewayV2::", "AWS::CloudFront::", "AWS::Lambda::LayerVersion"),
)
"""The beginnings of types to which no request of an application goes."""


@dataclass(frozen=True)
class Call:
    """A synchronous integration."""

    source: str
    """The path of the resource that calls."""
    target: str
    """The path of the resource that answers, or the service of an API's integration."""

    def __str__(self) -> str:
        """A line of a list."""
        return f"call      {self.source} -> {self.target}"

    def as_json(self) -> dict[str, str]:
        """Returns the call as plain values."""
        return {"kind": "call", **vars(self)}


def calls(assembly: Assembly) -> list[Call]:
    """Returns the synchronous integrations, sorted: of APIs, functions and workflows."""
    return sorted({*_passed_on(assembly), *_granted(assembly)}, key=str)


def _passed_on(assembly: Assembly) -> Iterator[Call]:
    for front in assembly.all_of(*_FRONTS):
        found = [*assembly.references(front.stack, front.properties)]
        answering = [each for each in found if _answers(each)]
        for target in answering:
            yield Call(front.path, target.path)
        integration = table(front.properties.get("Integration"))
        if not answering and integration.get("Type") not in {None, "MOCK"}:
            service = texts(integration.get("Uri")).partition(":apigateway:")[2]
            yield Call(front.path, service or texts(integration.get("Uri")))


def _granted(assembly: Assembly) -> Iterator[Call]:
    """What the roles of functions and workflows name; a general permission names nothing."""
    for actor in assembly.all_of(*_ACTORS):
        for stack, statement in role_statements(assembly, role_of(assembly, actor)):
            if not is_general(statement):
                for target in resources_of(assembly, stack, statement):
                    if _answers(target) and target.path != actor.path:
                        yield Call(actor.path, target.path)


def _answers(resource: Resource) -> bool:
    return not resource.type.startswith(_NEVER_ANSWER)
