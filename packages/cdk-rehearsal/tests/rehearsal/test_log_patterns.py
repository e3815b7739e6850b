"""CloudWatch Logs: filter patterns.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
"""

from __future__ import annotations

import json

import pytest

from cdk_rehearsal.services.log_patterns import InvalidPattern, log_filter

EVENT = json.dumps(
    {
        "level": "ERROR",
        "status": "503",
        "took": 1.5,
        "ok": False,
        "nothing": None,
        "order": {"id": "o-1", "lines": [{"sku": "MUG"}, {"sku": "CUP"}]},
        "two words": "yes",
    }
)


@pytest.mark.parametrize(
    ("pattern", "message", "matches"),
    [
        (None, "anything", True),
        ("", "anything", True),
        ("ERROR", "[ERROR 401] UNAUTHORIZED REQUEST", True),
        ("ERROR", "[error 401] UNAUTHORIZED REQUEST", False),
        ("AUTHORIZED", "[ERROR 401] UNAUTHORIZED REQUEST", False),
        ("%AUTHORIZED%", "[ERROR 401] UNAUTHORIZED REQUEST", True),
        ("OrderRejected", '{"type":"OrderRejected.v1"}', True),
        ("ERROR REQUEST", "[ERROR 401] UNAUTHORIZED REQUEST", True),
        ("ERROR ARGUMENTS", "[ERROR 401] UNAUTHORIZED REQUEST", False),
        ('"401] UNAUTHORIZED"', "[ERROR 401] UNAUTHORIZED REQUEST", True),
        ('"UNAUTHORIZED 401"', "[ERROR 401] UNAUTHORIZED REQUEST", False),
        ("?ERROR ?ARGUMENTS", "[ERROR 401] UNAUTHORIZED REQUEST", True),
        ("?WARN ?ARGUMENTS", "[ERROR 401] UNAUTHORIZED REQUEST", False),
        ("?WARN REQUEST", "[ERROR 401] UNAUTHORIZED REQUEST", True),
        ("ERROR -ARGUMENTS", "[ERROR 401] UNAUTHORIZED REQUEST", True),
        ("ERROR -REQUEST", "[ERROR 401] UNAUTHORIZED REQUEST", False),
        ('{ $.level = "ERROR" }', EVENT, True),
        ('{ $.level = "WARNING" }', EVENT, False),
        ("{ $.level = ERROR }", EVENT, True),
        ('{ $.level = "E*R" }', EVENT, True),
        ('{ $.level = "E*X" }', EVENT, False),
        ('{ $.level != "WARNING" }', EVENT, True),
        ('{ $.missing != "WARNING" }', EVENT, False),
        ("{ $.level = %^ERR% }", EVENT, True),
        ('{ $.status = "5*" }', EVENT, True),
        ('{ $.status = "4*" }', EVENT, False),
        ("{ $.status >= 500 }", EVENT, True),
        ("{ $.took > 1.5 }", EVENT, False),
        ("{ $.took >= 1.5 }", EVENT, True),
        ("{ $.took < 1.6 && $.took != 2 }", EVENT, True),
        ("{ $.took <= 1.4 || $.took = 2 }", EVENT, False),
        ("{ $.ok IS FALSE }", EVENT, True),
        ("{ $.ok IS TRUE }", EVENT, False),
        ("{ $.nothing IS NULL }", EVENT, True),
        ("{ $.missing IS NULL }", EVENT, False),
        ("{ $.missing NOT EXISTS }", EVENT, True),
        ("{ $.level NOT EXISTS }", EVENT, False),
        ("{ $.nothing EXISTS }", EVENT, True),
        ('{ $.order.id = "o-1" }', EVENT, True),
        ('{ $.order.lines[1].sku = "CUP" }', EVENT, True),
        ('{ $.order.lines[0].sku = "CUP" }', EVENT, False),
        ('{ $.order.lines[*].sku = "CUP" }', EVENT, True),
        ("{ ($.took = 2 || $.took = 1.5) && $.ok IS FALSE }", EVENT, True),
        ("{ $.took = 1.5 || $.took = 2 && $.ok IS TRUE }", EVENT, True),
        ('{ $.level = "ERROR" }', "no JSON: ERROR", False),
        ('{ $.level = "ERROR" }', '["ERROR"]', False),
    ],
)
def test_a_pattern_matches_as_documented(pattern: str | None, message: str, matches: bool) -> None:
    assert log_filter(pattern)(message) is matches


@pytest.mark.parametrize(
    "pattern",
    [
        "[ip, user, status = 4*]",
        '{ $.level = "ERROR"',
        "{ level = ERROR }",
        "{ $.level }",
        "{ $ = 1 }",
        "{ $.level IS GOOD }",
        "{ $.level NOT NULL }",
        "{ ($.level = 1 }",
        '{ $.level > "ERROR" }',
        "{ $.level = 1 $.took }",
        "{ $.level = %[% }",
        "{ }",
        '"unfinished',
        "{ $.a[ = 1 }",
    ],
)
@pytest.mark.own_behaviour
def test_malformed_and_unsupported_patterns_are_refused(pattern: str) -> None:
    with pytest.raises(InvalidPattern):
        log_filter(pattern)
