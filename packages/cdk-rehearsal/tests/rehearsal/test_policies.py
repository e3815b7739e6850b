"""Resource policies: who is let in, and who is not."""

from __future__ import annotations

from typing import Any

import pytest

from cdk_rehearsal.errors import UnsupportedTemplateError
from cdk_rehearsal.policies import allows

QUEUE = "arn:aws:sqs:eu-central-1:123456789012:queue"
RULE = "arn:aws:events:eu-central-1:123456789012:rule/bus/one"


def statement(**changes: Any) -> dict[str, Any]:
    return {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": QUEUE,
        **changes,
    }


def let_in(*statements: dict[str, Any]) -> bool:
    return allows(
        {"Statement": list(statements)},
        service="events.amazonaws.com",
        action="sqs:SendMessage",
        resource=QUEUE,
        context={"aws:SourceArn": RULE, "aws:SecureTransport": "true"},
    )


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"Action": "sqs:*"},
        {"Action": ["sqs:Other", "SQS:sendmessage"]},
        {"Principal": "*"},
        {"Principal": {"AWS": "*"}},
        {"Principal": {"Service": ["sns.amazonaws.com", "events.amazonaws.com"]}},
        {"Condition": {"ArnEquals": {"aws:SourceArn": RULE}}},
        {"Condition": {"ArnLike": {"aws:SourceArn": "arn:aws:events:*:*:rule/bus/*"}}},
        {"Condition": {"StringEquals": {"aws:SourceArn": ["x", RULE]}}},
    ],
)
def test_a_statement_that_applies_lets_in(changes: dict[str, Any]) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html"""
    assert let_in(statement(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"Action": "sqs:ReceiveMessage"},
        {"Principal": {"Service": "sns.amazonaws.com"}},
        {"Resource": QUEUE + "2"},
        {"Condition": {"ArnEquals": {"aws:SourceArn": RULE + "2"}}},
        {"Condition": {"StringEquals": {"aws:SourceAccount": "123456789012"}}},
        {"Effect": "Deny"},
    ],
)
def test_a_statement_that_does_not_apply_lets_nobody_in(changes: dict[str, Any]) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html"""
    assert not let_in(statement(**changes))


def test_a_denial_outweighs_what_allows() -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html"""
    insecure = statement(
        Effect="Deny", Action="sqs:*", Condition={"Bool": {"aws:SecureTransport": "false"}}
    )
    assert let_in(statement(), insecure)
    assert not let_in(statement(), statement(Effect="Deny"))


def test_without_a_policy_nobody_is_let_in() -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html"""
    assert not let_in()


def test_an_unknown_operator_is_an_error() -> None:
    with pytest.raises(UnsupportedTemplateError, match="DateLessThan"):
        let_in(statement(Condition={"DateLessThan": {"aws:CurrentTime": "2026-01-01"}}))
