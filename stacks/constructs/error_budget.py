"""Error budgets: alarms on how fast a service level objective uses up what may go wrong."""

from collections.abc import Callable, Mapping

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from stacks.constructs.alarm import Alarm
from stacks.constructs.platform import Platform

BURNS: Mapping[str, tuple[float, Duration]] = {
    "Fast": (14.4, Duration.hours(1)),
    "Slow": (6.0, Duration.hours(6)),
}
"""How many times faster than allowed a budget of 30 days burns, and in which window.

The first uses up 2 % of the budget in an hour, the second 5 % in six hours.
https://sre.google/workbook/alerting-on-slos/
"""


class ErrorBudget(Construct):
    """Two alarms on an objective: `percent` of the values of a metric are below `limit`.

    A budget burns at a rate if the share of bad values reaches that multiple of what is allowed.
    Then one percentile of the window reaches the limit, so each alarm needs a single metric.
    `metric` returns the metric with a statistic and a period.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        platform: Platform,
        metric: Callable[[str, Duration], cloudwatch.Metric],
        percent: float,
        limit: Duration,
        meaning: str,
        page: str,
    ) -> None:
        super().__init__(scope, id_)
        for name, (burn, window) in BURNS.items():
            percentile = round(100 - burn * (100 - percent), 2)
            Alarm(
                self,
                name,
                platform=platform,
                metric=metric(f"p{percentile:g}", window),
                threshold=limit.to_milliseconds(),
                meaning=f"{meaning}: the error budget of 30 days would last for "
                f"{30 / burn:.0f} days.",
                page=page,
            )
