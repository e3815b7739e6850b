"""Stages: what they keep, what they forget, and whom they tell when something is wrong."""

import re
from collections.abc import Mapping

import pytest

from stacks.constructs.packaging import PROJECT
from stacks.environment import DEV, PROD, Environment, environment_named
from tests.support.assemblies import Assembly

STAGES = {"dev": DEV, "prod": PROD}
_PAGE = re.compile(r"What to do: (?P<file>\S+)#(?P<anchor>\S+)$")


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


class TestAlarms:
    def test_each_tells_somebody(self, shop: Assembly) -> None:
        for alarm in shop.of_type("AWS::CloudWatch::Alarm"):
            (action,) = alarm.properties["AlarmActions"]
            assert shop.referred(alarm.stack, action).type == "AWS::SNS::Topic", alarm

    def test_each_names_its_page_in_the_runbook(self, shop: Assembly) -> None:
        for alarm in shop.of_type("AWS::CloudWatch::Alarm"):
            page = _PAGE.search(alarm.properties["AlarmDescription"])
            assert page, alarm
            text = (PROJECT / page["file"]).read_text()
            assert page["anchor"] in anchors(text), alarm

    def test_each_says_what_it_means(self, shop: Assembly) -> None:
        for alarm in shop.of_type("AWS::CloudWatch::Alarm"):
            meaning = _PAGE.sub("", alarm.properties["AlarmDescription"])
            assert len(meaning.split()) >= 4, alarm

    def test_silence_is_no_alarm(self, shop: Assembly) -> None:
        for alarm in shop.of_type("AWS::CloudWatch::Alarm"):
            assert alarm.properties["TreatMissingData"] == "notBreaching", alarm

    def test_cloudwatch_may_use_the_topic_and_nobody_without_tls(self, shop: Assembly) -> None:
        (policy,) = shop.of_type("AWS::SNS::TopicPolicy")
        statements = policy.properties["PolicyDocument"]["Statement"]
        (denied,) = [s for s in statements if s["Effect"] == "Deny"]
        assert denied["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        (permitted,) = [s for s in statements if s["Effect"] == "Allow"]
        assert permitted["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
        assert "aws:SourceArn" in permitted["Condition"]["ArnLike"]
        assert "aws:SourceAccount" in permitted["Condition"]["StringEquals"]


class TestData:
    def test_tables_outlive_their_stack_in_prod_alone(self, shop: Assembly, stage: str) -> None:
        for table in shop.of_type("AWS::DynamoDB::GlobalTable"):
            keeps = STAGES[stage].keeps_data
            expected = "Retain" if keeps else "Delete"
            assert table.definition["DeletionPolicy"] == expected, table
            assert table.definition["UpdateReplacePolicy"] == expected, table
            for replica in table.properties["Replicas"]:
                assert replica["DeletionProtectionEnabled"] is keeps, table

    def test_customers_outlive_their_stack_in_prod_alone(self, shop: Assembly, stage: str) -> None:
        (pool,) = shop.of_type("AWS::Cognito::UserPool")
        expected = "Retain" if STAGES[stage].keeps_data else "Delete"
        assert pool.definition["DeletionPolicy"] == expected

    def test_tables_can_be_restored_to_any_point_in_time(self, shop: Assembly) -> None:
        for table in shop.of_type("AWS::DynamoDB::GlobalTable"):
            for replica in table.properties["Replicas"]:
                recovery = replica["PointInTimeRecoverySpecification"]
                assert recovery["PointInTimeRecoveryEnabled"] is True, table

    def test_tables_have_the_keys_that_handlers_use(self, shop: Assembly) -> None:
        for table in shop.of_type("AWS::DynamoDB::GlobalTable"):
            if "StreamSpecification" not in table.properties:
                continue
            keys = {key["AttributeName"]: key["KeyType"] for key in table.properties["KeySchema"]}
            assert keys == {"pk": "HASH", "sk": "RANGE"}, table
            ttl = table.properties["TimeToLiveSpecification"]
            assert ttl == {"AttributeName": "expires_at", "Enabled": True}, table

    def test_prod_differs_from_dev_in_values_only(self, templates: Mapping[str, Assembly]) -> None:
        dev, prod = (
            {(resource.path, resource.type) for resource in templates[stage].resources}
            for stage in ("dev", "prod")
        )
        assert dev == prod

    def test_names_that_belong_to_the_account_differ_between_stages(
        self, templates: Mapping[str, Assembly]
    ) -> None:
        names = {
            stage: {
                value
                for resource in assembly.resources
                for key, value in resource.properties.items()
                if key in {"LogGroupName", "QueueName", "PolicyName"} and isinstance(value, str)
                if resource.type != "AWS::IAM::Policy"
            }
            for stage, assembly in templates.items()
        }
        assert names["dev"]
        assert not names["dev"] & names["prod"]


class TestEnvironment:
    @pytest.mark.parametrize("environment", STAGES.values(), ids=STAGES)
    def test_the_inbox_remembers_longer_than_archive_and_dead_letters_together(
        self, environment: Environment
    ) -> None:
        assert environment.inbox_days > environment.archive_days + 14

    @pytest.mark.parametrize("name", STAGES)
    def test_a_stage_is_found_by_its_name(self, name: str) -> None:
        assert environment_named(name) is STAGES[name]

    def test_an_unknown_stage_is_an_error_that_lists_the_stages(self) -> None:
        with pytest.raises(ValueError, match=r"no stage 'qa': choose one of dev, prod"):
            environment_named("qa")
