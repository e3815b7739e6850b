"""Which function creates which CloudFormation resource type."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from cdk_rehearsal.assembly import Resource
from cdk_rehearsal.properties import Properties

if TYPE_CHECKING:
    from cdk_rehearsal.deployment import Deployment


__all__ = ["CREATORS", "WITHOUT_PART", "Creator", "Resource", "creates"]

Creator = Callable[["Deployment", Resource, Properties], None]
CREATORS: dict[str, Creator] = {}

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
"""Types that play no part in delivery: a rehearsal only gives them a name."""


def creates(resource_type: str) -> Callable[[Creator], Creator]:
    """Registers a function as the one that creates resources of a type."""

    def register(creator: Creator) -> Creator:
        CREATORS[resource_type] = creator
        return creator

    return register
