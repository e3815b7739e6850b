"""Which function creates which CloudFormation resource type."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cdk_rehearsal.properties import Properties

if TYPE_CHECKING:
    from cdk_rehearsal.deployment import Deployment


@dataclass
class Resource:
    """A resource of a template: what it is called there, and what it became.

    ``properties`` are resolved; ``physical_id`` is what ``Ref`` gives and ``attributes`` what
    ``Fn::GetAtt`` gives.
    """

    stack: str
    logical_id: str
    path: str
    type: str
    properties: dict[str, Any] = field(default_factory=dict)
    physical_id: str = ""
    attributes: dict[str, Any] = field(default_factory=dict)

    def generated_name(self, longest: int) -> str:
        """Return a physical name as CloudFormation makes one: stack, logical id and a suffix.

        https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-name.html
        """
        digest = hashlib.sha256(f"{self.stack}/{self.logical_id}".encode()).hexdigest()
        suffix = digest[:12].upper()
        room = longest - len(suffix) - 2
        stack = self.stack[: max(8, room // 2)]
        return f"{stack}-{self.logical_id[: room - len(stack)]}-{suffix}"


Creator = Callable[["Deployment", Resource, Properties], None]
CREATORS: dict[str, Creator] = {}

# Types that play no part in delivery. A rehearsal gives them a name and leaves it at that.
WITHOUT_PART = frozenset(
    {
        "AWS::ApplicationInsights::Application",
        "AWS::CDK::Metadata",
        "AWS::CloudWatch::Alarm",
        "AWS::CloudWatch::CompositeAlarm",
        "AWS::CloudWatch::Dashboard",
        "AWS::EventSchemas::Registry",
        "AWS::EventSchemas::Schema",
        "AWS::KMS::Alias",
        "AWS::KMS::Key",
        "AWS::Logs::MetricFilter",
        "AWS::Logs::QueryDefinition",
        "AWS::ResourceGroups::Group",
    }
)


def creates(resource_type: str) -> Callable[[Creator], Creator]:
    """Register a function as the one that creates resources of a type."""

    def register(creator: Creator) -> Creator:
        CREATORS[resource_type] = creator
        return creator

    return register
