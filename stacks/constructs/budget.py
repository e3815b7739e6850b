"""The monthly budget of a stage, with notifications to the alarm topic."""

from aws_cdk import aws_budgets as budgets
from constructs import Construct

from stacks.constructs.platform import Platform

_NOTIFICATIONS = (("FORECASTED", 100), ("ACTUAL", 100))
"""Kinds of costs, and the percentage of the budget from which on they are reported."""


class Budget(Construct):
    """Reports a month that costs more than the stage states, or is going to.

    It counts the whole account. A budget for one stage needs a cost allocation tag, which an
    administrator has to activate: until then, it would count nothing and report nothing. So stages
    in the same account are each reported when they cost too much together.
    https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/activating-tags.html
    """

    def __init__(self, scope: Construct, id_: str, *, platform: Platform) -> None:
        super().__init__(scope, id_)
        budgets.CfnBudget(
            self,
            "Monthly",
            budget=budgets.CfnBudget.BudgetDataProperty(
                budget_type="COST",
                time_unit="MONTHLY",
                budget_limit=budgets.CfnBudget.SpendProperty(
                    amount=platform.environment.usd_per_month, unit="USD"
                ),
            ),
            notifications_with_subscribers=[
                budgets.CfnBudget.NotificationWithSubscribersProperty(
                    notification=budgets.CfnBudget.NotificationProperty(
                        notification_type=kind,
                        comparison_operator="GREATER_THAN",
                        threshold=percentage,
                        threshold_type="PERCENTAGE",
                    ),
                    subscribers=[
                        budgets.CfnBudget.SubscriberProperty(
                            address=platform.alarm_topic.topic_arn, subscription_type="SNS"
                        )
                    ],
                )
                for kind, percentage in _NOTIFICATIONS
            ],
        )
