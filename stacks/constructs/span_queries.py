"""Queries about spans in the log: saved ones, and a dashboard of one order."""

from collections.abc import Mapping, Sequence

from aws_cdk import Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_logs as logs
from constructs import Construct

ORDER = "ORDER-ID"
"""The placeholder for the id of an order. The dashboard's variable replaces each occurrence."""

_OF_AN_ORDER: Mapping[str, Sequence[str]] = {
    "one order": (
        f'filter subject = "{ORDER}"',
        "sort start",
        "display start, service, name, event_type, outcome, attempt, duration_ms, trace_id",
        "limit 1000",
    ),
    "failures and repetitions of one order": (
        f'filter subject = "{ORDER}" and (outcome != "done" or attempt > 1)',
        "sort start",
        "display start, name, event_type, outcome, attempt, error",
    ),
    "durations of one order": (
        f'filter subject = "{ORDER}"',
        "stats count(*) as times, sum(duration_ms) as total_ms, max(duration_ms) by service, name",
        "sort total_ms desc",
    ),
}
"""Queries about one order, by name: the widgets of its dashboard."""

_QUERIES: Mapping[str, Sequence[str]] = {
    **_OF_AN_ORDER,
    "one trace": (
        "filter @message like /TRACE/",
        "sort start",
        "display start, service, name, event_type, outcome, duration_ms, span_id, parent_id",
    ),
    "what fails": (
        'filter outcome in ["failed", "parked"]',
        "stats count(*) as times, latest(start) as last by name, outcome, error",
        "sort times desc",
    ),
    "durations": (
        "stats count(*) as times, pct(duration_ms, 50), pct(duration_ms, 99) by name",
        "sort times desc",
    ),
    "cold starts": (
        "filter ispresent(init_ms)",
        "stats count(*) as times, pct(init_ms, 50), max(init_ms) by name",
        "sort times desc",
    ),
}
"""All queries by name. Those about one order and one trace have a placeholder."""

_SINCE = "-P3D"
"""The time range of the dashboard: most orders are delivered by then."""
_WIDTH, _HEIGHT = 24, 8


def save_queries(scope: Construct, *, stage: str) -> None:
    """Saves queries about spans, in a folder of the stage.

    Each is for all log groups of the stage, which the console selects by their prefix.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-logs-querydefinition.html
    """
    for name, query in _QUERIES.items():
        logs.CfnQueryDefinition(
            scope,
            f"Query{name.title().replace(' ', '')}",
            name=f"orderflow-{stage}/{name}",
            query_string=_text(query),
        )


class OrderDashboard(Construct):
    """A dashboard of one order: its units of work, what failed or repeated, and its durations.

    Its text field sets the order: a variable replaces the placeholder in all queries.
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
    """

    def __init__(self, scope: Construct, id_: str, *, stage: str, name: str) -> None:
        super().__init__(scope, id_)
        stack = Stack.of(self)
        widgets = [
            {
                "type": "log",
                "x": 0,
                "y": row * _HEIGHT,
                "width": _WIDTH,
                "height": _HEIGHT,
                "properties": {
                    "title": title.capitalize(),
                    "region": stack.region,
                    "view": "table",
                    "query": f"{_source(stage)}\n| {_text(query)}",
                },
            }
            for row, (title, query) in enumerate(_OF_AN_ORDER.items())
        ]
        variable = {
            "id": "order",
            "type": "pattern",
            "pattern": ORDER,
            "inputType": "input",
            "label": "Order",
            "visible": True,
        }
        body = {"start": _SINCE, "variables": [variable], "widgets": widgets}
        cloudwatch.CfnDashboard(
            self, "Dashboard", dashboard_name=name, dashboard_body=stack.to_json_string(body)
        )


def _text(query: Sequence[str]) -> str:
    """Returns the text of a query about spans."""
    return "\n| ".join(('filter type = "span"', *query))


def _source(stage: str) -> str:
    """Returns the command that selects all log groups of a stage, which are more than 50.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_QuerySyntax-Source.html
    """
    return f"SOURCE logGroups(namePrefix: ['orderflow-{stage}'])"
