"""The durability rules as a plug-in of synthesis, for any CDK application.

Copy the package `topology`, which needs nothing else, and add two lines before `app.synth()`:

    from topology.plugin import Durability

    Validations.of(app).add_plugins(Durability())

From then on `cdk synth` fails as long as a message can get lost unseen, and says for each finding
where it is, what is lacking, and what to do. Where a rule does not apply, say why, on the construct
or on any that it is in:

    Validations.of(queue).acknowledge(
        Acknowledgment(id="Durability::VisibilityTimeout", reason="The function is idempotent …")
    )

The rules are in `topology.durability.Rule`. The plug-in reads the templates and nothing else, so it
knows the edges that templates state: not what a function's code sends to where.
https://docs.aws.amazon.com/cdk/v2/guide/policy-validation-synthesis.html
"""

from pathlib import Path

import jsii
from aws_cdk import (
    IPolicyValidationContext,
    IPolicyValidationPlugin,
    PolicyValidationPluginReport,
    PolicyViolatingResource,
    PolicyViolation,
)

from topology.assembly import Assembly, read
from topology.durability import Rule, findings


@jsii.implements(IPolicyValidationPlugin)
class Durability:
    """Fails the synthesis of an application, or of a stage, in which a message can get lost."""

    @property
    def name(self) -> str:
        """What acknowledgements begin with."""
        return "Durability"

    @property
    def version(self) -> str:
        """That of the rules."""
        return "1.0.0"

    @property
    def rule_ids(self) -> list[str]:
        """All rules."""
        return [rule.name for rule in Rule]

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
            for finding in findings(Assembly(read(templates.values())))
        ]
        return PolicyValidationPluginReport(success=not violations, violations=violations)
