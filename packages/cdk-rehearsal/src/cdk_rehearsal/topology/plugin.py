"""Validation plug-ins with the rules of durability and retention, for any CDK application.

Copy the package `topology`, which needs nothing else, and add two lines before `app.synth()`:

    from cdk_rehearsal.topology.plugin import Durability, Retention

    Validations.of(app).add_plugins(Durability(), Retention())

From then on, `cdk synth` fails if a message can get lost unnoticed, or if a retained resource
blocks the next stack or depends on a deleted one. Each finding says where it is, what is missing,
and what to do. If a rule does not apply, give the reason on the construct or on one of its parents:

    Validations.of(queue).acknowledge(
        Acknowledgment(id="Durability::VisibilityTimeout", reason="The function is idempotent …")
    )

The rules are in `topology.durability.Rule` and `topology.retention.Rule`. The plug-ins read only
the templates. So they know the edges in the templates, but not the calls in a function's code.
https://docs.aws.amazon.com/cdk/v2/guide/policy-validation-synthesis.html
"""

from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import ClassVar

import jsii
from aws_cdk import (
    IPolicyValidationContext,
    IPolicyValidationPlugin,
    PolicyValidationPluginReport,
    PolicyViolatingResource,
    PolicyViolation,
)

from cdk_rehearsal.topology import durability, retention
from cdk_rehearsal.topology.assembly import Assembly, read


class _Rules:
    """Base of a plug-in that checks templates against a set of rules."""

    _rules: ClassVar[type[Enum]]

    @property
    def name(self) -> str:
        """What acknowledgements begin with."""
        return type(self).__name__

    @property
    def version(self) -> str:
        """That of the rules."""
        return "1.0.0"

    @property
    def rule_ids(self) -> list[str]:
        """All rules."""
        return [rule.name for rule in self._rules]

    def validate(self, context: IPolicyValidationContext) -> PolicyValidationPluginReport:
        """All findings, each under its rule; called back by the library when it synthesizes."""
        templates = {next(iter(read([path]))): path for path in map(Path, context.template_paths)}
        violations = [
            PolicyViolation(
                rule_name=finding.rule.name,
                description=f"{finding.rule.value}: {finding.says}",
                fix=finding.fix,
                severity="error",
                violating_resources=[
                    PolicyViolatingResource(
                        resource_logical_id=finding.resource.logical_id,
                        template_path=str(templates[finding.resource.stack]),
                        locations=[],
                    )
                ],
            )
            for finding in self._findings(Assembly(read(templates.values())))
        ]
        return PolicyValidationPluginReport(success=not violations, violations=violations)

    def _findings(
        self, assembly: Assembly
    ) -> Sequence[durability.Finding] | Sequence[retention.Finding]:
        raise NotImplementedError


@jsii.implements(IPolicyValidationPlugin)
class Durability(_Rules):
    """Fails the synthesis of an application, or of a stage, in which a message can get lost."""

    _rules = durability.Rule

    def _findings(self, assembly: Assembly) -> Sequence[durability.Finding]:
        return durability.findings(assembly)


@jsii.implements(IPolicyValidationPlugin)
class Retention(_Rules):
    """Fails the synthesis if a retained resource blocks the next stack or would be unusable."""

    _rules = retention.Rule

    def _findings(self, assembly: Assembly) -> Sequence[retention.Finding]:
        return retention.findings(assembly)
