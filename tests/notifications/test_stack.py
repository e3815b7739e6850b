"""The notifications stack: how long a message is held, how fast and for how much money they go."""

from collections.abc import Mapping

import pytest

from cdk_rehearsal import Assembly
from lambdas.notifications.notification_store import LEASE_S


@pytest.mark.parametrize("stage", ["dev", "prod"])
@pytest.mark.parametrize("sender", ["SendEmail", "SendSms", "CallWebhook"])
def test_a_message_is_held_until_its_sender_is_done_and_free_when_it_comes_again(
    templates: Mapping[str, Assembly], stage: str, sender: str
) -> None:
    function = templates[stage].at(f"Notifications/{sender}/Function")
    queue = templates[stage].at(f"Notifications/{sender}/Queue")
    assert function.properties["Timeout"] < LEASE_S < queue.properties["VisibilityTimeout"]


@pytest.mark.parametrize("stage", ["dev", "prod"])
@pytest.mark.parametrize("sender", ["SendEmail", "SendSms"])
def test_messages_go_out_as_slowly_as_a_mapping_can_be(
    templates: Mapping[str, Assembly], stage: str, sender: str
) -> None:
    """The services refuse who is faster than the account's quota: https://docs.aws.amazon.com/ses/latest/dg/quotas.html."""
    mappings = [
        mapping
        for mapping in templates[stage].of_type("AWS::Lambda::EventSourceMapping")
        if mapping.path.startswith(f"Notifications/{sender}/")
    ]
    assert [each.properties["ScalingConfig"]["MaximumConcurrency"] for each in mappings] == [2]


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_somebody_is_told_before_the_months_money_for_sms_is_spent(
    templates: Mapping[str, Assembly], stage: str
) -> None:
    """1 USD for a new account: https://docs.aws.amazon.com/sns/latest/dg/channels-sms-awssupport-spend-threshold.html."""
    alarm = templates[stage].at("Notifications/SmsSpending").properties
    assert (alarm["Namespace"], alarm["MetricName"]) == ("AWS/SNS", "SMSMonthToDateSpentUSD")
    assert 0.5 <= alarm["Threshold"] < 1
