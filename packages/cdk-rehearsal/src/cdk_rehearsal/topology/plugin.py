"""The rules of durability and retention as plug-ins of synthesis, for any CDK application.

Copy the package `topology`, which needs nothing else, and add two lines before `app.synth()`:

    from cdk_rehearsal.topology.plugin import Durability, Retention

    Validations.of(app).add_plugins(Durability(), Retention())

From then on `cdk synth` fails as long as a message can get lost unseen, or something that outlives
its stack blocks the next one or depends on what is deleted. It says for each finding where it is,
what is lacking, and what to do. Where a rule does not apply, say why, on the construct or on any
that it is in:

    Validations.of(queue).acknowledge(
        Acknowledgment(id="Durability::VisibilityTimeout", reason="The function is idempotent …")
    )

The rules are in `topology.durability.Rule` and `topology.retention.Rule`. The plug-ins read the
templates and nothing else, so they know the edges that templates state: not what a function's code
sends to where.
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
    """A plug-in that finds what breaks its rules in the templates."""

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
    """Fails the synthesis of an application of which a part outlives its stack, and is no use."""

    _rules = retention.Rule

    def _findings(self, assembly: Assembly) -> Sequence[retention.Finding]:
        return retention.findings(assembly)
