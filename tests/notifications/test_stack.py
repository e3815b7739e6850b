"""The notifications stack: leases, sending rates, slow webhooks and the alarm about SMS costs."""

from collections.abc import Mapping

import pytest

from cdk_rehearsal import Assembly
from lambdas.notifications.domain import CALLS_S, PERIOD_S
from lambdas.notifications.notification_store import LEASE_S
from lambdas.notifications.settings import PaceSettings
from lambdas.notifications.webhook import TOTAL_S
from stacks.environment import environment_named


@pytest.mark.parametrize("stage", ["dev", "prod"])
@pytest.mark.parametrize("sender", ["SendEmail", "SendSms", "CallWebhook"])
def test_a_lease_outlasts_its_sender_and_ends_before_the_message_is_redelivered(
    templates: Mapping[str, Assembly], stage: str, sender: str
) -> None:
    function = templates[stage].at(f"Notifications/{sender}/Function")
    queue = templates[stage].at(f"Notifications/{sender}/Queue")
    assert function.properties["Timeout"] < LEASE_S < queue.properties["VisibilityTimeout"]


@pytest.mark.parametrize("stage", ["dev", "prod"])
@pytest.mark.parametrize("sender", ["SendEmail", "SendSms"])
def test_senders_together_keep_the_rate_of_the_account(
    templates: Mapping[str, Assembly], stage: str, sender: str
) -> None:
    """The services reject requests above it: https://docs.aws.amazon.com/ses/latest/dg/quotas.html."""
    environment = environment_named(stage)
    rate = environment.emails_per_second if sender == "SendEmail" else environment.sms_per_second
    shop = templates[stage]
    (mapping,) = [
        mapping
        for mapping in shop.of_type("AWS::Lambda::EventSourceMapping")
        if mapping.path.startswith(f"Notifications/{sender}/")
    ]
    senders = mapping.properties["ScalingConfig"]["MaximumConcurrency"]
    function = shop.at(f"Notifications/{sender}/Function").properties
    interval_s = float(function["Environment"]["Variables"]["SEND_INTERVAL_S"])
    assert mapping.properties["BatchSize"] == 1
    assert senders / interval_s == pytest.approx(rate)
    assert interval_s >= 0.08  # so that each sender is fast enough
    assert interval_s < function["Timeout"] / 2


@pytest.mark.parametrize("sender", ["SendEmail", "SendSms"])
def test_a_sender_with_the_settings_of_an_earlier_release_keeps_the_rate_of_prod(
    templates: Mapping[str, Assembly], sender: str
) -> None:
    variables = templates["prod"].at(f"Notifications/{sender}/Function").properties["Environment"]
    pace = PaceSettings.from_environ({})
    assert pace.send_interval_s >= PaceSettings.from_environ(variables["Variables"]).send_interval_s


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_an_alarm_fires_before_the_monthly_sms_limit_is_reached(
    templates: Mapping[str, Assembly], stage: str
) -> None:
    """A new account has a limit of 1 USD: https://docs.aws.amazon.com/sns/latest/dg/channels-sms-awssupport-spend-threshold.html."""
    alarm = templates[stage].at("Notifications/SmsSpending").properties
    assert (alarm["Namespace"], alarm["MetricName"]) == ("AWS/SNS", "SMSMonthToDateSpentUSD")
    assert 0.5 <= alarm["Threshold"] < 1


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_a_postponed_message_returns_in_a_later_period_for_an_hour(
    templates: Mapping[str, Assembly], stage: str
) -> None:
    queue = templates[stage].at("Notifications/CallWebhook/Queue").properties
    assert queue["VisibilityTimeout"] > PERIOD_S
    assert queue["VisibilityTimeout"] * queue["RedrivePolicy"]["maxReceiveCount"] >= 3600


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_a_slow_webhook_takes_at_most_a_tenth_of_the_senders_time(
    templates: Mapping[str, Assembly], stage: str
) -> None:
    """All senders may begin a call to it just before its time is used up."""
    (mapping,) = [
        mapping
        for mapping in templates[stage].of_type("AWS::Lambda::EventSourceMapping")
        if mapping.path.startswith("Notifications/CallWebhook/")
    ]
    senders = mapping.properties["ScalingConfig"]["MaximumConcurrency"]
    assert CALLS_S + senders * TOTAL_S <= senders * PERIOD_S / 10
