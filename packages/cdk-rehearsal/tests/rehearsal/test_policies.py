"""Policies: which statements apply to a request, and what AWS decides about it."""

from __future__ import annotations

from typing import Any

import pytest

from cdk_rehearsal.errors import UnsupportedTemplateError
from cdk_rehearsal.policies import Context, Decision, Policies, Principal, Request, decide

ACCOUNT = "123456789012"
QUEUE = f"arn:aws:sqs:eu-central-1:{ACCOUNT}:queue"
RULE = f"arn:aws:events:eu-central-1:{ACCOUNT}:rule/bus/one"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/Worker"
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/Worker/function"

EVENTS = Principal(ACCOUNT, service="events.amazonaws.com")
WORKER = Principal(ACCOUNT, role=ROLE, session=SESSION)


def statement(**changes: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": QUEUE, **changes}


def admitting(**changes: Any) -> dict[str, Any]:
    return statement(**{"Principal": {"Service": "events.amazonaws.com"}, **changes})


def policies(kind: str, *statements: dict[str, Any]) -> Policies:
    return Policies.read(kind, [{"Version": "2012-10-17", "Statement": list(statements)}])


def request(context: Context | None = None, **changes: str) -> Request:
    return Request(
        changes.get("action", "sqs:SendMessage"), changes.get("resource", QUEUE), context or {}
    )


def let_in(*statements: dict[str, Any]) -> bool:
    context = {"aws:sourcearn": RULE, "aws:securetransport": "true"}
    stated = policies("resource-based policy", *statements)
    return decide(EVENTS, request(context), resource=stated).allowed


def permitted(*statements: dict[str, Any], context: Context | None = None, **changes: str) -> bool:
    mine = policies("identity-based policy", *statements)
    return decide(WORKER, request(context, **changes), identity=mine).allowed


class TestResourcePolicies:
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
    def test_a_statement_that_applies_lets_in(self, changes: dict[str, Any]) -> None:
        """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html"""
        assert let_in(admitting(**changes))

    @pytest.mark.parametrize(
        "changes",
        [
            {"Action": "sqs:ReceiveMessage"},
            {"Principal": {"Service": "sns.amazonaws.com"}},
            {"Resource": QUEUE + "2"},
            {"Condition": {"ArnEquals": {"aws:SourceArn": RULE + "2"}}},
            {"Condition": {"StringEquals": {"aws:SourceAccount": ACCOUNT}}},
            {"Effect": "Deny"},
        ],
    )
    def test_a_statement_that_does_not_apply_lets_nobody_in(self, changes: dict[str, Any]) -> None:
        """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html"""
        assert not let_in(admitting(**changes))

    def test_a_denial_outweighs_what_allows(self) -> None:
        """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html"""
        insecure = admitting(
            Effect="Deny", Action="sqs:*", Condition={"Bool": {"aws:SecureTransport": "false"}}
        )
        assert let_in(admitting(), insecure)
        assert not let_in(admitting(), admitting(Effect="Deny"))

    def test_without_a_policy_no_service_is_let_in(self) -> None:
        """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html"""
        assert not let_in()

    @pytest.mark.parametrize("named", [ROLE, SESSION])
    def test_within_an_account_a_resource_alone_may_admit_a_role(self, named: str) -> None:
        """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-basics-single-account.html"""
        stated = policies("resource-based policy", admitting(Principal={"AWS": named}))
        none = policies("identity-based policy")
        assert decide(WORKER, request(), identity=none, resource=stated).allowed
        of_another = Principal(ACCOUNT, role=ROLE + "2", session=SESSION + "2")
        assert not decide(of_another, request(), identity=none, resource=stated).allowed

    @pytest.mark.parametrize("account", [ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root"])
    def test_a_key_that_names_the_account_leaves_it_to_the_roles_policies(
        self, account: str
    ) -> None:
        """https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html"""
        stated = policies("resource-based policy", admitting(Principal={"AWS": account}))
        mine = policies("identity-based policy", statement())

        def decided(identity: Policies, resource: Policies) -> Decision:
            return decide(WORKER, request(), identity=identity, resource=resource, key_policy=True)

        assert decided(mine, stated).allowed
        without_mine = decided(policies("identity-based policy"), stated)
        assert "no identity-based policy allows" in without_mine.refusal
        without_key = decided(mine, policies("resource-based policy"))
        assert "no resource-based policy allows" in without_key.refusal

    def test_all_but_the_excluded_principals_are_named(self) -> None:
        """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notprincipal.html"""
        deny = {"Effect": "Deny", "Action": "*", "Resource": "*", "NotPrincipal": {"AWS": [ROLE]}}
        stated = policies("resource-based policy", deny)
        mine = policies("identity-based policy", statement())
        assert decide(WORKER, request(), identity=mine, resource=stated).allowed
        assert not let_in(admitting(), deny)


class TestIdentityPolicies:
    def test_not_action_and_not_resource_exclude(self) -> None:
        """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notaction.html"""
        others = {"Effect": "Allow", "NotAction": "sqs:Delete*", "Resource": "*"}
        assert permitted(others)
        assert not permitted(others, action="sqs:DeleteQueue")
        elsewhere = {"Effect": "Allow", "Action": "*", "NotResource": QUEUE}
        assert not permitted(elsewhere)
        assert permitted(elsewhere, resource=QUEUE + "2")

    def test_a_boundary_limits_what_policies_allow(self) -> None:
        """https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html"""
        mine = policies("identity-based policy", statement(Action="*"))
        limits = policies("permissions boundary", statement(Action="sqs:Send*"))
        assert decide(WORKER, request(), identity=mine, boundary=limits).allowed
        receive = request(action="sqs:ReceiveMessage")
        refusal = decide(WORKER, receive, identity=mine, boundary=limits).refusal
        assert refusal == "because no permissions boundary allows the {action} action"

    @pytest.mark.parametrize(("named", "allowed"), [(ROLE, False), (SESSION, True)])
    def test_a_boundary_does_not_limit_what_a_resource_grants_to_a_session(
        self, named: str, allowed: bool
    ) -> None:
        """https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html#access_policies_boundaries-eval-logic"""
        decision = decide(
            WORKER,
            request(),
            identity=policies("identity-based policy"),
            resource=policies("resource-based policy", admitting(Principal={"AWS": named})),
            boundary=policies("permissions boundary", statement(Action="s3:*")),
        )
        assert decision.allowed == allowed

    @pytest.mark.parametrize(
        ("where", "message"),
        [
            ("identity", "with an explicit deny in an identity-based policy"),
            ("resource", "with an explicit deny in a resource-based policy"),
            ("boundary", "with an explicit deny in a permissions boundary"),
        ],
    )
    def test_the_refusal_says_which_policy_denies(self, where: str, message: str) -> None:
        """https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html"""
        kinds = {
            "identity": "identity-based policy",
            "resource": "resource-based policy",
            "boundary": "permissions boundary",
        }
        given = {
            name: policies(
                kind,
                statement(Principal="*"),
                *([statement(Principal="*", Effect="Deny")] if name == where else []),
            )
            for name, kind in kinds.items()
        }
        assert decide(WORKER, request(), **given).refusal == message  # type: ignore[arg-type]


class TestConditions:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html."""

    @pytest.mark.parametrize(
        ("operator", "expected", "value", "holds"),
        [
            ("StringEquals", "a", "a", True),
            ("StringEquals", "a", "A", False),
            ("StringEqualsIgnoreCase", "a", "A", True),
            ("StringNotEquals", ["a", "b"], "b", False),
            ("StringNotEquals", ["a", "b"], "c", True),
            ("StringNotEqualsIgnoreCase", "a", "A", False),
            ("StringLike", "or?er*", "orders", True),
            ("StringNotLike", "or*", "orders", False),
            ("NumericEquals", "10", "10.0", True),
            ("NumericNotEquals", "10", "10.0", False),
            ("NumericLessThan", "10", "9", True),
            ("NumericLessThanEquals", "10", "10", True),
            ("NumericGreaterThan", "10", "10", False),
            ("NumericGreaterThanEquals", "10", "10", True),
            ("NumericEquals", "10", "ten", False),
            ("DateLessThan", "2026-02-01T00:00:00Z", "2026-01-05T08:00:00+00:00", True),
            ("DateGreaterThan", "2026-02-01T00:00:00Z", "2026-01-05T08:00:00+00:00", False),
            ("DateGreaterThanEquals", "1767600000", "2026-01-05T08:00:00Z", True),
            ("Bool", "true", "TRUE", True),
            ("Bool", True, "false", False),
            ("BinaryEquals", "QmluYXJ5", "QmluYXJ5", True),
            ("IpAddress", "203.0.113.0/24", "203.0.113.7", True),
            ("NotIpAddress", "203.0.113.0/24", "203.0.113.7", False),
            ("ArnLike", "arn:aws:sns:*:*:a*", "arn:aws:sns:eu-central-1:1:abc", True),
            ("ArnLike", "arn:aws:*", "arn:aws:sns:eu-central-1:1:abc", False),
            ("ArnNotEquals", "arn:aws:sns:*:*:a", "arn:aws:sns:eu-central-1:1:a", False),
        ],
    )
    def test_operators(self, operator: str, expected: Any, value: str, holds: bool) -> None:
        condition = statement(Condition={operator: {"aws:Key": expected}})
        assert permitted(condition, context={"aws:key": value}) == holds

    @pytest.mark.parametrize(
        ("operator", "holds"),
        [
            ("StringEquals", False),
            ("StringEqualsIfExists", True),
            ("StringNotEquals", True),
            ("ForAllValues:StringEquals", True),
            ("ForAnyValue:StringEquals", False),
            ("ForAnyValue:StringNotEquals", False),
            ("Null", False),
        ],
    )
    def test_operators_without_a_value(self, operator: str, holds: bool) -> None:
        """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html#Conditions_IfExists"""
        expected = "false" if operator == "Null" else "a"
        assert permitted(statement(Condition={operator: {"aws:Key": expected}})) == holds

    @pytest.mark.parametrize(
        ("operator", "values", "holds"),
        [
            ("ForAllValues:StringEquals", ["a"], True),
            ("ForAllValues:StringEquals", ["a", "c"], False),
            ("ForAnyValue:StringEquals", ["a", "c"], True),
            ("ForAnyValue:StringEquals", ["c"], False),
            ("ForAllValues:StringNotLike", ["c", "d"], True),
            ("ForAllValues:StringNotLike", ["c", "a"], False),
            ("ForAnyValue:StringNotEquals", ["c", "a"], True),
        ],
    )
    def test_several_values(self, operator: str, values: list[str], holds: bool) -> None:
        """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html"""
        condition = statement(Condition={operator: {"aws:Key": ["a", "b"]}})
        assert permitted(condition, context={"aws:key": values}) == holds

    def test_all_conditions_have_to_hold(self) -> None:
        """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-logic-multiple-context-keys-or-values.html"""
        both = statement(Condition={"StringEquals": {"a:A": "1"}, "StringLike": {"a:B": "2*"}})
        assert permitted(both, context={"a:a": "1", "a:b": "23"})
        assert not permitted(both, context={"a:a": "1", "a:b": "3"})
        assert not permitted(both, context={"a:b": "2"})

    @pytest.mark.own_behaviour
    def test_an_unknown_operator_is_an_error(self) -> None:
        with pytest.raises(UnsupportedTemplateError, match="StringSounds"):
            permitted(statement(Condition={"StringSoundsLike": {"aws:Key": "a"}}))


class TestVariables:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html."""

    def test_resources_and_conditions_may_name_keys(self) -> None:
        own = statement(Resource="arn:aws:sqs:eu-central-1:*:${aws:Name}")
        assert permitted(own, context={"aws:name": "queue"})
        assert not permitted(own, context={"aws:name": "other"})
        assert not permitted(own)
        same = statement(Condition={"StringEquals": {"aws:A": "${aws:B}"}})
        assert permitted(same, context={"aws:a": "1", "aws:b": "1"})
        assert not permitted(same, context={"aws:a": "1", "aws:b": "2"})

    def test_a_value_has_no_wildcards(self) -> None:
        own = statement(Resource="arn:aws:sqs:eu-central-1:*:${aws:Name}")
        assert not permitted(own, context={"aws:name": "*"})
        literal = statement(Condition={"StringLike": {"aws:Key": "a${*}"}})
        assert permitted(literal, context={"aws:key": "a*"})
        assert not permitted(literal, context={"aws:key": "ab"})

    def test_a_variable_may_have_a_default(self) -> None:
        own = statement(Resource="arn:aws:sqs:eu-central-1:*:${aws:Name, 'queue'}")
        assert permitted(own)

    def test_the_older_version_has_none(self) -> None:
        """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_version.html"""
        own = statement(Resource="arn:aws:sqs:eu-central-1:*:${aws:Name}")
        older = Policies.read("identity-based policy", [{"Statement": [own]}])
        asked = request({"aws:name": "queue"})
        assert not decide(WORKER, asked, identity=older).allowed
