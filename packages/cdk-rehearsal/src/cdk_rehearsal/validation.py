"""Validation plug-ins for `cdk synth`: rules of durability and retention, for any CDK application.

Install the package beside `aws-cdk-lib`, and add two lines before `app.synth()`:

    from cdk_rehearsal.validation import Durability, Retention

    Validations.of(app).add_plugins(Durability(), Retention())

From then on, `cdk synth` fails if a message can get lost without notice, or if a retained resource
blocks the next stack or depends on a deleted one. Each finding says where it is, what is missing,
and what to do. If a rule does not apply, give the reason on the construct or on one of its parents:

    Validations.of(queue).acknowledge(
        Acknowledgment(id="Durability::VisibilityTimeout", reason="The function is idempotent …")
    )

The rules are `cdk_rehearsal.topology.DurabilityRule` and `cdk_rehearsal.topology.RetentionRule`.
The plug-ins read only the templates. So they know the edges in the templates, but not the calls in
a function's code. https://docs.aws.amazon.com/cdk/v2/guide/policy-validation-synthesis.html
"""

import os
from collections.abc import Callable, Sequence
from enum import Enum
from pathlib import Path

import jsii
from aws_cdk import (
    IPolicyValidationContext,
    IPolicyValidationPlugin,
    PolicyValidationPluginReport,
    PolicyViolatingResource,
    PolicyViolation,
)

from cdk_rehearsal.assembly import Assembly
from cdk_rehearsal.topology.durability import DurabilityRule, Loss, losses
from cdk_rehearsal.topology.retention import Leftover, RetentionRule, leftovers


class _Rules:
    """Base of a plug-in that checks templates against a set of rules."""

    def __init__(
        self, rules: type[Enum], find: Callable[[Assembly], Sequence[Loss | Leftover]]
    ) -> None:
        self._rules = rules
        self._find = find

    @property
    def name(self) -> str:
        """The first part of the id in an acknowledgement."""
        return type(self).__name__

    @property
    def version(self) -> str:
        """The version of the rules."""
        return "1.0.0"

    @property
    def rule_ids(self) -> list[str]:
        """The names of all rules."""
        return [rule.name for rule in self._rules]

    def validate(self, context: IPolicyValidationContext) -> PolicyValidationPluginReport:
        """Reports all findings by rule; CDK calls it in synthesis."""
        templates = [Path(path) for path in context.template_paths]
        directory = Path(os.path.commonpath([file.parent for file in templates]))
        assembly = Assembly(directory, only=templates)
        violations = [
            PolicyViolation(
                rule_name=finding.rule.name,
                description=f"{finding.rule.value}: {finding.says}",
                fix=finding.fix,
                severity="error",
                violating_resources=[
                    PolicyViolatingResource(
                        resource_logical_id=finding.resource.logical_id,
                        template_path=str(assembly.stack_of(finding.resource).file),
                        locations=[],
                    )
                ],
            )
            for finding in self._find(assembly)
        ]
        return PolicyValidationPluginReport(success=not violations, violations=violations)


@jsii.implements(IPolicyValidationPlugin)
class Durability(_Rules):
    """Fails the synthesis of an application, or of a stage, in which a message can get lost."""

    def __init__(self) -> None:
        """Takes the rules of `cdk_rehearsal.topology.DurabilityRule`."""
        super().__init__(DurabilityRule, losses)


@jsii.implements(IPolicyValidationPlugin)
class Retention(_Rules):
    """Fails the synthesis if a retained resource blocks the next stack or would be unusable."""

    def __init__(self) -> None:
        """Takes the rules of `cdk_rehearsal.topology.RetentionRule`."""
        super().__init__(RetentionRule, leftovers)
