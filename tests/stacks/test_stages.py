"""Stages: their alarms, the retention of their data, and their e-mail identities."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from cdk_rehearsal import Assembly, Resource, texts
from tests.stacks.hops import is_custom
from tests.support.documents import anchors
from workspace.isolation import PROJECT

if TYPE_CHECKING:
    from stacks.environment import Environment

_PAGE = re.compile(r"What to do: (?P<file>\S+)#(?P<anchor>\S+)$")


def environment(stage: str) -> "Environment":
    """The environment of a stage."""
    # Imported here, because it starts the CDK library in each process that collects tests.
    from stacks.environment import environment_named

    return environment_named(stage)


RELEASES = {
    *("AWS::CodeDeploy::DeploymentGroup", "AWS::Lambda::Alias", "AWS::Lambda::Version"),
    *("AWS::StepFunctions::StateMachineAlias", "AWS::StepFunctions::StateMachineVersion"),
}
"""What a function or workflow has, too, if the stage shifts its traffic."""


class TestAlarms:
    def test_each_alarm_notifies_a_topic(self, shop: Assembly) -> None:
        for alarm in shop.of_type("AWS::CloudWatch::Alarm"):
            (action,) = alarm.properties["AlarmActions"]
            assert shop.referred(alarm.stack, action).type == "AWS::SNS::Topic", alarm

    def test_each_alarm_names_its_page_in_the_runbook(self, shop: Assembly) -> None:
        for alarm in shop.of_type("AWS::CloudWatch::Alarm"):
            page = _PAGE.search(alarm.properties["AlarmDescription"])
            assert page, alarm
            text = (PROJECT / page["file"]).read_text()
            assert page["anchor"] in anchors(text), alarm

    def test_each_alarm_has_a_description(self, shop: Assembly) -> None:
        for alarm in shop.of_type("AWS::CloudWatch::Alarm"):
            meaning = _PAGE.sub("", alarm.properties["AlarmDescription"])
            assert len(meaning.split()) >= 4, alarm

    def test_missing_data_are_an_alarm_only_of_the_canary(self, shop: Assembly, stage: str) -> None:
        """Nothing else happens in each period, whether customers come or not."""
        expected = {"Orders/CanaryOverdue"} if environment(stage).canary else set()
        for alarm in shop.of_type("AWS::CloudWatch::Alarm"):
            treatment = "breaching" if alarm.path in expected else "notBreaching"
            assert alarm.properties["TreatMissingData"] == treatment, alarm

    def test_only_cloudwatch_and_budgets_may_publish_to_the_topic_and_only_with_tls(
        self, shop: Assembly
    ) -> None:
        (topic,) = {
            shop.referred(alarm.stack, action).path
            for alarm in shop.of_type("AWS::CloudWatch::Alarm")
            for action in alarm.properties["AlarmActions"]
        }
        statements = shop.at(f"{topic}/Policy").properties["PolicyDocument"]["Statement"]
        (denied,) = [s for s in statements if s["Effect"] == "Deny"]
        assert denied["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        allowed = [s for s in statements if s["Effect"] == "Allow"]
        sources = {
            permitted["Principal"]["Service"]: texts(permitted["Condition"]["ArnLike"])
            for permitted in allowed
        }
        assert len(allowed) == len(sources)
        assert sources.keys() == {"budgets.amazonaws.com", "cloudwatch.amazonaws.com"}
        assert ":budgets::" in str(sources["budgets.amazonaws.com"])
        assert ":alarm:*" in str(sources["cloudwatch.amazonaws.com"])
        for permitted in allowed:
            assert "aws:SourceArn" in permitted["Condition"]["ArnLike"]
            account = {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
            assert permitted["Condition"]["StringEquals"] == account


def test_a_month_that_exceeds_its_budget_is_reported_before_and_after(
    shop: Assembly, stage: str
) -> None:
    """It counts the account: without an activated tag, a filter would count nothing."""
    (budget,) = shop.of_type("AWS::Budgets::Budget")
    stated = budget.properties["Budget"]
    assert (stated["BudgetType"], stated["TimeUnit"]) == ("COST", "MONTHLY")
    assert stated["BudgetLimit"] == {"Amount": environment(stage).usd_per_month, "Unit": "USD"}
    assert "CostFilters" not in stated
    assert "BudgetName" not in stated
    reports = budget.properties["NotificationsWithSubscribers"]
    assert {report["Notification"]["NotificationType"] for report in reports} == {
        "ACTUAL",
        "FORECASTED",
    }
    for report in reports:
        assert report["Notification"]["ComparisonOperator"] == "GREATER_THAN"
        assert report["Notification"]["Threshold"] <= 100
        (subscriber,) = report["Subscribers"]
        assert subscriber["SubscriptionType"] == "SNS"
        topic = shop.referred(budget.stack, subscriber["Address"])
        assert topic.path == "Backbone/Alarms"


KEPT, DROPPED = ("RetainExceptOnCreate", "Retain"), ("Delete", "Delete")
"""The policies for a deleted and for a replaced resource. A failed creation leaves nothing behind,
because its resources have no data yet and would prevent the next attempt."""


def policies(resource: Resource) -> tuple[str, str]:
    return resource.definition["DeletionPolicy"], resource.definition["UpdateReplacePolicy"]


class TestData:
    def test_tables_outlive_their_stack_only_in_prod(self, shop: Assembly, stage: str) -> None:
        for table in shop.of_type("AWS::DynamoDB::GlobalTable"):
            keeps = environment(stage).keeps_data
            assert policies(table) == (KEPT if keeps else DROPPED), table
            for replica in table.properties["Replicas"]:
                assert replica["DeletionProtectionEnabled"] is keeps, table

    @pytest.mark.parametrize(
        "resource_type",
        [
            "AWS::Cognito::UserPool",
            "AWS::KMS::Key",
            "AWS::Kinesis::Stream",
            "AWS::S3::Bucket",
            "AWS::S3::BucketPolicy",
            "AWS::SecretsManager::Secret",
        ],
    )
    def test_other_irreplaceable_resources_outlive_their_stack_only_in_prod(
        self, shop: Assembly, stage: str, resource_type: str
    ) -> None:
        assert shop.of_type(resource_type)
        for resource in shop.of_type(resource_type):
            assert policies(resource) == (KEPT if environment(stage).keeps_data else DROPPED), (
                resource
            )

    def test_the_bus_and_what_it_retains_outlive_their_stack_only_in_prod(
        self, shop: Assembly, stage: str
    ) -> None:
        buses = {"AWS::Events::Archive", "AWS::Events::EventBus", "AWS::EventsV2::EventBus"}
        kept = [resource for resource in shop.resources if resource.type in buses]
        assert len(kept) == (1 if is_custom(shop) else 2)
        for resource in kept:
            assert policies(resource) == (KEPT if environment(stage).keeps_data else DROPPED)

    def test_the_user_pool_has_deletion_protection_only_in_prod(
        self, shop: Assembly, stage: str
    ) -> None:
        for pool in shop.of_type("AWS::Cognito::UserPool"):
            expected = "ACTIVE" if environment(stage).keeps_data else "INACTIVE"
            assert pool.properties["DeletionProtection"] == expected, pool

    def test_tables_and_streams_are_on_demand(self, shop: Assembly) -> None:
        for table in shop.of_type("AWS::DynamoDB::GlobalTable"):
            assert table.properties["BillingMode"] == "PAY_PER_REQUEST", table
        for stream in shop.of_type("AWS::Kinesis::Stream"):
            assert stream.properties["StreamModeDetails"] == {"StreamMode": "ON_DEMAND"}, stream

    def test_only_the_account_and_the_bus_may_use_keys(self, shop: Assembly) -> None:
        for key in shop.of_type("AWS::KMS::Key"):
            for statement in key.properties["KeyPolicy"]["Statement"]:
                (principal,) = statement["Principal"].values()
                is_root = statement["Principal"].keys() == {"AWS"} and texts(principal).endswith(
                    ":root"
                )
                assert is_root or principal == "events.amazonaws.com", key

    def test_secrets_are_generated_in_the_account_and_long(self, shop: Assembly) -> None:
        for secret in shop.of_type("AWS::SecretsManager::Secret"):
            assert "SecretString" not in secret.properties, secret
            assert secret.properties["GenerateSecretString"]["PasswordLength"] >= 32, secret

    def test_tables_can_be_restored_to_any_point_in_time(self, shop: Assembly) -> None:
        for table in shop.of_type("AWS::DynamoDB::GlobalTable"):
            for replica in table.properties["Replicas"]:
                recovery = replica["PointInTimeRecoverySpecification"]
                assert recovery["PointInTimeRecoveryEnabled"] is True, table

    def test_tables_have_the_keys_that_handlers_use(self, shop: Assembly) -> None:
        named = {
            shop.referred(function.stack, variables["TABLE_NAME"]).path
            for function in shop.of_type("AWS::Lambda::Function")
            if "TABLE_NAME" in (variables := function.properties["Environment"]["Variables"])
        }
        assert named
        for table in map(shop.at, named):
            keys = {key["AttributeName"]: key["KeyType"] for key in table.properties["KeySchema"]}
            assert keys == {"pk": "HASH", "sk": "RANGE"}, table
            ttl = table.properties["TimeToLiveSpecification"]
            assert ttl == {"AttributeName": "expires_at", "Enabled": True}, table

    def test_prod_differs_from_dev_in_values_only(self, templates: Mapping[str, Assembly]) -> None:
        dev, prod = (
            {
                (resource.path, resource.type)
                for resource in templates[stage].resources
                if resource.type not in RELEASES and "/Releases/" not in resource.path
            }
            for stage in ("dev", "prod")
        )
        # Only the partners are others: what their calls need is a stage's decision.
        assert dev ^ prod == {
            ("Payments/SandboxProvider", "AWS::DynamoDB::GlobalTable"),
            ("Payments/StripeKey", "AWS::SecretsManager::Secret"),
            ("Shipping/SandboxCarrier", "AWS::DynamoDB::GlobalTable"),
            ("Shipping/EasyPostKey", "AWS::SecretsManager::Secret"),
        }


class TestPartners:
    @pytest.mark.parametrize(
        ("setting", "real"), [("payment_provider", "stripe"), ("carrier", "easypost")]
    )
    def test_a_stage_that_keeps_data_cannot_have_a_sandbox(self, setting: str, real: str) -> None:
        with pytest.raises(ValueError, match=setting) as raised:
            replace(environment("prod"), **cast(Any, {setting: "sandbox"}))
        assert str(raised.value) == (
            f"{setting} of stage prod is 'sandbox', but the stage keeps data and so counts as a "
            f"real shop: set {setting}={real!r} in stacks/environment.py"
        )

    @pytest.mark.parametrize("setting", ["payment_provider", "carrier", "dispatch"])
    def test_a_stage_has_to_decide(self, setting: str) -> None:
        dev = environment("dev")
        decided = {field.name: getattr(dev, field.name) for field in fields(dev)}
        del decided[setting]
        with pytest.raises(TypeError, match=setting):
            type(dev)(**decided)

    @pytest.mark.parametrize(
        ("context", "role", "real"),
        [("payments", "provider", "stripe"), ("shipping", "carrier", "easypost")],
    )
    def test_handlers_ask_the_factory_and_never_name_a_partner(
        self, context: str, role: str, real: str
    ) -> None:
        named = {
            path.name
            for path in (PROJECT / "lambdas" / context).glob("*.py")
            if re.search(rf"({real}|Sandbox){role}", path.read_text(), re.IGNORECASE)
        }
        assert named == {f"{role}s.py", f"{real}_{role}.py", f"sandbox_{role}.py"}

    @pytest.mark.parametrize(
        ("context", "role", "chosen", "setting"),
        [
            ("payments", "provider", "stripe", "PAYMENT_PROVIDER"),
            ("payments", "provider", "sandbox", "PAYMENT_PROVIDER"),
            ("shipping", "carrier", "easypost", "CARRIER"),
            ("shipping", "carrier", "sandbox", "CARRIER"),
        ],
    )
    def test_only_the_chosen_partner_is_imported(
        self, context: str, role: str, chosen: str, setting: str
    ) -> None:
        script = (
            f"import sys; from lambdas.{context} import {role}s; {role}s.{role}();"
            "print([name for name in sys.modules if name.startswith('lambdas.')"
            f" and name.endswith('_{role}')])"
        )
        environ = {
            "TABLE_NAME": "t",
            "INBOX_DAYS": "1",
            setting: chosen,
            f"{role.upper()}_RESOURCE": "arn",
        }
        done = subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, **environ},
            cwd=PROJECT,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == f"['lambdas.{context}.{chosen}_{role}']"


class TestEnvironment:
    def test_inbox_entries_outlive_archive_and_dead_letter_queue_together(self, stage: str) -> None:
        decided = environment(stage)

        assert decided.inbox_days > decided.archive_days + 14

    def test_a_stage_is_found_by_its_name(self, stage: str) -> None:
        assert environment(stage).name == stage

    def test_an_unknown_stage_is_an_error_that_lists_the_stages(self) -> None:
        with pytest.raises(ValueError, match=r"no stage 'qa': choose one of dev, prod"):
            environment("qa")


class TestEmail:
    """https://docs.aws.amazon.com/ses/latest/dg/creating-identities.html."""

    @pytest.mark.parametrize(
        "identity", ["orders@mail.shop.example", "mail.shop.example", "shop.example"]
    )
    def test_a_stage_can_use_an_identity_that_covers_its_sender(self, identity: str) -> None:
        decided = replace(
            environment("dev"), email_sender="orders@mail.shop.example", email_identity=identity
        )
        assert decided.email_identity == identity

    @pytest.mark.parametrize(
        "identity", ["", "other@shop.example", "hop.example", "mail.shop.example", "example.org"]
    )
    def test_an_identity_that_does_not_cover_the_sender_is_an_error(self, identity: str) -> None:
        with pytest.raises(ValueError, match=r"stage dev .* does not cover orders@shop\.example"):
            replace(environment("dev"), email_sender="orders@shop.example", email_identity=identity)

    @pytest.mark.parametrize(
        "setting",
        [
            "orders_per_second",
            "orders_per_day",
            "usd_per_month",
            "emails_per_second",
            "sms_per_second",
            "stripe_requests_per_second",
        ],
    )
    def test_a_rate_of_nothing_is_an_error(self, setting: str) -> None:
        nothing: dict[str, Any] = {setting: 0}
        with pytest.raises(ValueError, match=f"{setting} of stage dev is 0: give a whole number"):
            replace(environment("dev"), **nothing)

    @pytest.mark.parametrize(
        "sender", ["", "shop.example", "@shop.example", "Shop <orders@shop.example>", "a b@c.d"]
    )
    def test_a_sender_that_is_not_a_plain_address_is_an_error(self, sender: str) -> None:
        with pytest.raises(ValueError, match="give the address alone"):
            replace(environment("dev"), email_sender=sender)

    def test_a_stage_creates_an_identity_unless_it_names_an_existing_one(
        self, shop: Assembly, stage: str
    ) -> None:
        decided = environment(stage)
        found = [each.properties for each in shop.all_of("AWS::SES::EmailIdentity")]
        made = decided.email_identity is None
        assert found == ([{"EmailIdentity": decided.email_sender}] if made else [])

    def test_two_stages_of_one_account_can_send_from_the_same_address(self, tmp_path: Path) -> None:
        """The stage that names an identity creates none, and has the same permissions."""
        # Imported here, because it starts the CDK library in each process that collects tests.
        from aws_cdk import App

        from stacks.backbone import Backbone
        from stacks.constructs.packaging import Target
        from stacks.notifications import Notifications

        def template(identity: str | None) -> dict[str, Any]:
            decided = replace(environment("dev"), email_identity=identity)
            outdir = tmp_path / str(identity)
            app = App(outdir=str(outdir), context={"aws:cdk:disable-asset-staging": True})
            backbone = Backbone(
                app, "Backbone", environment=decided, target=Target.HOST, published=[]
            )
            Notifications(app, "Notifications", platform=backbone.platform, api=backbone.api)
            app.synth()
            found: dict[str, Any] = Assembly(outdir).templates["Notifications"]["Resources"]
            return found

        making, reusing = template(None), template(environment("dev").email_sender)
        (own,) = making.keys() - reusing.keys()
        assert making[own]["Type"] == "AWS::SES::EmailIdentity"
        assert {name: making[name] for name in reusing} == reusing
