"""The role of the pipeline: who may assume it, and what it may do, as IAM decides."""

import json
from functools import cache
from typing import Any

import pytest
from cfnlint.decode import decode

from cdk_rehearsal import Resolver, Stack, identity_allows
from tools.release.record import Record
from workspace.isolation import PROJECT

ACCOUNT, REGION = "111122223333", "eu-central-1"
HOST = "token.actions.githubusercontent.com"
SUBJECT = "repo:shop/orderflow:environment:prod"
TAG = "aws:resourcetag/aws:cloudformation:stack-name"


@cache
def role() -> dict[str, Any]:
    """The properties of the role for stage prod."""
    read, problems = decode(str(PROJECT / "tools/release/role.yaml"))
    assert not problems
    template = json.loads(json.dumps(read, default=str))
    parameters = {
        **{name: each.get("Default") for name, each in template["Parameters"].items()},
        "Stage": "prod",
        "Repository": "shop/orderflow",
    }
    resolver = Resolver(
        Stack("Pipeline", "pipeline", template),
        account=ACCOUNT,
        region=REGION,
        ref=lambda name: parameters.get(name, f"arn:aws:iam::{ACCOUNT}:oidc-provider/{HOST}"),
        get_att=lambda name, attribute: "",
        import_value=lambda name: "",
        parameter=parameters.get,
    )
    found: dict[str, Any] = resolver.resolve(
        template["Resources"]["Pipeline"]["Properties"], "Pipeline"
    )
    return found


def assumed(**claims: str) -> bool:
    """Whether a token of GitHub with these claims may assume the role."""
    [statement] = role()["AssumeRolePolicyDocument"]["Statement"]
    policy = {"Version": "2012-10-17", "Statement": [{**statement, "Resource": "*"}]}
    context = {f"{HOST}:{name}": value for name, value in claims.items()}
    return identity_allows(
        [policy], action="sts:AssumeRoleWithWebIdentity", resource="*", context=context
    )


def allowed(action: str, resource: str, **context: str) -> bool:
    policies = [each["PolicyDocument"] for each in role()["Policies"]]
    return identity_allows(policies, action=action, resource=resource, context=context)


def test_only_the_environment_of_the_stage_in_the_named_repository_may_assume_the_role() -> None:
    assert assumed(aud="sts.amazonaws.com", sub=SUBJECT)


@pytest.mark.parametrize(
    "subject",
    [
        "repo:shop/orderflow:environment:dev",
        "repo:shop/orderflow:ref:refs/heads/main",
        "repo:shop/orderflow:pull_request",
        "repo:somebody/orderflow:environment:prod",
        "repo:shop/orderflow-fork:environment:prod",
        "REPO:shop/orderflow:environment:prod",
    ],
)
def test_no_other_job_may_assume_the_role(subject: str) -> None:
    assert not assumed(aud="sts.amazonaws.com", sub=subject)


def test_a_token_for_another_audience_or_without_a_subject_is_refused() -> None:
    assert not assumed(aud="https://github.com/shop", sub=SUBJECT)
    assert not assumed(aud="sts.amazonaws.com")
    assert not assumed(sub=SUBJECT)


def test_the_role_may_use_the_bootstrap_roles_of_its_region_and_no_other_role() -> None:
    def role_named(name: str, region: str = REGION) -> str:
        return f"arn:aws:iam::{ACCOUNT}:role/cdk-hnb659fds-{name}-{ACCOUNT}-{region}"

    assert allowed("sts:AssumeRole", role_named("deploy-role"))
    assert allowed("sts:AssumeRole", role_named("file-publishing-role"))
    assert not allowed("sts:AssumeRole", role_named("cfn-exec-role"))
    assert not allowed("sts:AssumeRole", role_named("deploy-role", "us-east-1"))
    assert not allowed("sts:AssumeRole", f"arn:aws:iam::{ACCOUNT}:role/Administrator")


def test_the_role_records_releases_of_its_stage_only() -> None:
    parameter = f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter"
    for action in ("ssm:GetParameter", "ssm:PutParameter"):
        assert allowed(action, parameter + Record(None, "prod").name)
        assert not allowed(action, parameter + Record(None, "dev").name)


def test_the_role_sees_only_resources_of_its_stage() -> None:
    queue = f"arn:aws:sqs:{REGION}:{ACCOUNT}:orderflow-"
    assert allowed("sqs:GetQueueAttributes", f"{queue}prod-checkout-Queue1")
    assert not allowed("sqs:GetQueueAttributes", f"{queue}dev-checkout-Queue1")
    pool = f"arn:aws:cognito-idp:{REGION}:{ACCOUNT}:userpool/{REGION}_1"
    assert allowed("cognito-idp:AdminCreateUser", pool, **{TAG: "orderflow-prod-backbone"})
    assert not allowed("cognito-idp:AdminCreateUser", pool, **{TAG: "orderflow-dev-backbone"})
    assert not allowed("cognito-idp:AdminCreateUser", pool)


def test_the_role_reads_the_secret_of_the_sandbox_and_no_key_of_a_partner() -> None:
    secret = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:"
    tag = {TAG: "orderflow-prod-shipping"}
    assert allowed("secretsmanager:GetSecretValue", f"{secret}CarrierSecret1-a", **tag)
    assert not allowed("secretsmanager:GetSecretValue", f"{secret}EasyPostKey1-a", **tag)
