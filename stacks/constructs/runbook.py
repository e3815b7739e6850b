"""The page that says what to do about an alarm. Commands read it without starting the CDK."""

RUNBOOK = "docs/runbook.md"
