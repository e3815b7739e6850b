"""CloudWatch: metric math.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
"""

from __future__ import annotations

import pytest

from cdk_rehearsal.services.metric_math import InvalidExpression, Values, evaluated

SERIES: dict[str, Values] = {
    "a": {0: 1, 60: 2, 120: 3},
    "b": {0: 10, 120: 0},
    "none": {},
}


@pytest.mark.parametrize(
    ("expression", "values"),
    [
        ("a", {0: 1, 60: 2, 120: 3}),
        ("a + b", {0: 11, 120: 3}),
        ("100 * a / b", {0: 10}),
        ("-a", {0: -1, 60: -2, 120: -3}),
        ("a ^ 2", {0: 1, 60: 4, 120: 9}),
        ("a >= 2", {0: 0, 60: 1, 120: 1}),
        ("a > 1 && a < 3", {0: 0, 60: 1, 120: 0}),
        ("a = = 1", None),
        ("a == 1 OR a == 3", {0: 1, 60: 0, 120: 1}),
        ("IF(a >= 2, a, 0)", {0: 0, 60: 2, 120: 3}),
        ("IF(a >= 2, b, 7)", {0: 7, 120: 0}),
        ("IF(a >= 2, none, 0)", {0: 0}),
        ("FILL(b, 5)", {0: 10, 60: 5, 120: 0}),
        ("FILL(b, REPEAT)", {0: 10, 60: 10, 120: 0}),
        ("SUM([a, b])", {0: 11, 60: 2, 120: 3}),
        ("MAX([a, b])", {0: 10, 60: 2, 120: 3}),
        ("MIN([a, b])", {0: 1, 60: 2, 120: 0}),
        ("AVG([a, b])", {0: 5.5, 60: 2, 120: 1.5}),
        ("ABS(a - 2)", {0: 1, 60: 0, 120: 1}),
        ("CEIL(a / 2)", {0: 1, 60: 1, 120: 2}),
        ("FLOOR(a / 2)", {0: 0, 60: 1, 120: 1}),
        ("1 + 1", None),
        ("c + 1", None),
        ("RATE(a)", None),
        ("FILL(b, LINEAR)", None),
        ("a[0]", None),
        ("a +", None),
    ],
)
def test_an_expression_makes_a_series_or_is_refused(expression: str, values: Values | None) -> None:
    if values is None:
        with pytest.raises(InvalidExpression):
            evaluated(expression, SERIES)
    else:
        assert evaluated(expression, SERIES) == values
