"""Rules that act at scheduled times."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from cdk_rehearsal import Rehearsal, check
from rehearsal.cloud import Cloud, arn
from rehearsal.conftest import Rehearse

START = datetime(2026, 1, 5, 8, tzinfo=UTC)


def scheduled(template: Cloud, expression: str, **properties: Any) -> None:
    template.queue("Queue")
    template.add(
        "Rule",
        "AWS::Events::Rule",
        ScheduleExpression=expression,
        Name="tick",
        **{"Targets": [{"Id": "t", "Arn": arn("Queue")}], **properties},
    )


def times(shop: Rehearsal) -> list[str]:
    return [json.loads(message["body"])["time"][11:16] for message in shop.messages("Shop/Queue")]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("rate(1 hour)", ["09:00", "10:00", "11:00"]),
        ("cron(30 8,10 * * ? *)", ["08:30", "10:30"]),
    ],
)
def test_a_rule_acts_at_its_times(
    template: Cloud, rehearse: Rehearse, expression: str, expected: list[str]
) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html"""
    scheduled(template, expression)
    shop = rehearse(start=START)
    shop.run_for(3 * 3600 + 60)
    assert times(shop) == expected
    event = json.loads(shop.messages("Shop/Queue")[0]["body"])
    assert (event["source"], event["detail-type"], event["detail"]) == (
        "aws.events",
        "Scheduled Event",
        {},
    )
    assert event["resources"] == ["arn:aws:events:eu-central-1:123456789012:rule/tick"]


def test_nothing_waits_for_a_rule_that_has_not_acted(template: Cloud, rehearse: Rehearse) -> None:
    scheduled(template, "rate(1 hour)")
    shop = rehearse()
    shop.run_until_idle()
    assert times(shop) == []


def test_a_mere_schedule_matches_no_event(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html"""
    scheduled(template, "rate(1 day)")
    shop = rehearse()
    shop.client("events").put_events(
        Entries=[{"Source": "shop", "DetailType": "d", "Detail": "{}"}]
    )
    shop.run_until_idle()
    assert times(shop) == []


def test_a_rule_can_have_both(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutRule.html"""
    scheduled(template, "rate(1 hour)", EventPattern={"source": ["shop"]})
    shop = rehearse(start=START)
    shop.client("events").put_events(
        Entries=[{"Source": "shop", "DetailType": "d", "Detail": "{}"}]
    )
    shop.run_for(3700)
    sources = [json.loads(m["body"])["source"] for m in shop.messages("Shop/Queue")]
    assert sources == ["shop", "aws.events"]


def test_a_rule_can_be_disabled_changed_and_deleted(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutRule.html"""
    scheduled(template, "rate(1 hour)")
    shop = rehearse(start=START)
    events = shop.client("events")
    events.disable_rule(Name="tick")
    shop.run_for(3700)
    assert times(shop) == []
    events.put_rule(Name="tick", ScheduleExpression="rate(10 minutes)")
    shop.run_for(1300)
    assert len(times(shop)) == 2
    events.remove_targets(Rule="tick", Ids=["t"])
    events.delete_rule(Name="tick")
    shop.run_for(3600)
    assert len(times(shop)) == 2


def test_a_constant_input_is_what_the_target_gets(template: Cloud, rehearse: Rehearse) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutTargets.html"""
    target = {"Id": "t", "Arn": arn("Queue"), "Input": '{"a": 1}'}
    scheduled(template, "rate(1 hour)", Targets=[target])
    shop = rehearse()
    shop.run_for(3700)
    assert [json.loads(m["body"]) for m in shop.messages("Shop/Queue")] == [{"a": 1}]


@pytest.mark.parametrize("expression", ["at(2030-01-01T00:00:00)", "rate(0 hours)", "hourly"])
def test_an_expression_that_is_none_is_an_error(template: Cloud, expression: str) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html"""
    scheduled(template, expression)
    (problem,) = check(template.write())
    assert "ScheduleExpression is not valid" in problem.problem


def test_a_rule_without_pattern_and_schedule_is_an_error(template: Cloud) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutRule.html"""
    scheduled(template, "rate(1 hour)")
    del template.resources["Rule"]["Properties"]["ScheduleExpression"]
    (problem,) = check(template.write())
    assert "an EventPattern or a ScheduleExpression" in problem.problem
