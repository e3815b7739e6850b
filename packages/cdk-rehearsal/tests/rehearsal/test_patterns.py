"""Event patterns, filter criteria and input transformation do what AWS documents."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from cdk_rehearsal.filters import FilterCriteria
from cdk_rehearsal.patterns import EventPattern, PatternError
from cdk_rehearsal.target_inputs import InputTransformer, JsonPath, target_input
from rehearsal.worlds import Endpoint

RULE_ARN = "arn:aws:events:eu-central-1:123456789012:rule/bus/placed"
EVENT: dict[str, Any] = {
    "version": "0",
    "id": "7bf73129",
    "detail-type": "OrderPlaced.v1",
    "source": "orderflow.orders",
    "account": "123456789012",
    "time": "2026-01-05T08:00:00Z",
    "region": "eu-central-1",
    "resources": ["arn:one", "arn:two"],
    "detail": {
        "state": "placed",
        "total": 300,
        "rate": 0.5,
        "gift": False,
        "note": None,
        "nick": "",
        "ip": "10.0.0.33",
        "file": "dir/a/photo.png",
        "tags": [],
        "items": [
            {"sku": "A", "quantity": 1, "gift": True},
            {"sku": "B", "quantity": 2},
        ],
    },
}


Matches = Callable[[Any, dict[str, Any]], bool]
Holds = Callable[..., bool]


@pytest.fixture
def matches(endpoint: Endpoint | None) -> Matches:
    """Whether a pattern matches an event, of which EventBridge wants some fields."""
    if endpoint is None:
        return lambda pattern, event: EventPattern(pattern).matches(event)
    envelope = {name: value for name, value in EVENT.items() if name not in ("detail", "version")}

    def ask(pattern: Any, event: dict[str, Any]) -> bool:
        client = endpoint.client("events")
        try:
            return bool(
                client.test_event_pattern(
                    EventPattern=json.dumps(pattern), Event=json.dumps({**envelope, **event})
                )["Result"]
            )
        except client.exceptions.InvalidEventPatternException as error:
            raise PatternError(str(error)) from error

    return ask


@pytest.fixture
def holds(matches: Matches) -> Holds:
    """Whether rules match the named field of the event's detail."""
    return lambda field, *rules: matches({"detail": {field: list(rules)}}, EVENT)


class TestFields:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern.html."""

    def test_all_fields_must_match_and_any_value_of_each(self, matches: Matches) -> None:
        """Fields are joined by and, the values of one field by or.

        https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-patterns.html
        """
        pattern = {"source": ["x", "orderflow.orders"], "detail": {"state": ["placed"]}}
        assert matches(pattern, EVENT)
        assert not matches(pattern, {**EVENT, "source": "y"})
        assert not matches(pattern, {**EVENT, "detail": {"state": "gone"}})

    def test_a_field_that_the_event_lacks_does_not_match(
        self, matches: Matches, holds: Holds
    ) -> None:
        """The event must have every field that the pattern names, nested in the same way."""
        assert not holds("missing", "placed")
        assert not matches({"state": ["placed"]}, EVENT)

    def test_an_object_is_no_value(self, matches: Matches) -> None:
        """Values are compared at the leaves only."""
        assert not matches({"detail": [{"exists": True}]}, EVENT)
        assert not matches({"source": {"inner": ["x"]}}, EVENT)

    def test_numbers_are_compared_by_value(self, holds: Holds) -> None:
        """300, 300.0 and 3.0e2 are one number."""
        assert holds("total", 300.0)
        assert holds("total", 3.0e2)
        assert not holds("total", "300")
        assert not holds("total", 301)

    def test_booleans_are_not_numbers(self, matches: Matches, holds: Holds) -> None:
        """JSON true and 1 are different values."""
        assert holds("gift", False)
        assert not holds("gift", 0)
        assert not matches({"a": [True]}, {"a": 1})
        assert not matches({"a": [1]}, {"a": True})


class TestDots:
    """https://github.com/aws/event-ruler: fields are compared by their names, joined with dots."""

    @pytest.mark.parametrize(
        "pattern",
        [
            {"detail": {"order": {"state": ["placed"]}}},
            {"detail.order.state": ["placed"]},
            {"detail": {"order.state": ["placed"]}},
            {"detail.order": {"state": ["placed"]}},
            {"$or": [{"detail.order.state": ["placed"]}, {"x": ["y"]}]},
            {"detail.order": {"$or": [{"state": ["placed"]}, {"x": ["y"]}]}},
        ],
    )
    @pytest.mark.parametrize(
        "event",
        [
            {"detail": {"order": {"state": "placed"}}},
            {"detail.order.state": "placed"},
            {"detail": {"order.state": "placed"}},
            {"detail.order": {"state": "placed"}},
            {"detail": [{"order": [{"state": "gone"}, {"state": "placed"}]}]},
            {"detail.order": {"state": "gone"}, "detail": {"order.state": "placed"}},
        ],
    )
    def test_a_name_with_dots_is_a_nested_one(
        self, pattern: dict[str, Any], event: dict[str, Any], matches: Matches
    ) -> None:
        """In patterns and in events alike."""
        assert matches(pattern, event)
        assert not matches(pattern, {"detail": {"order.status": "placed"}})

    def test_an_absent_field_has_neither_form(self, matches: Matches) -> None:
        """A field with dots in its name is there."""
        pattern = {"detail": {"a": {"b": [{"exists": False}]}}}
        assert matches(pattern, {"detail": {"a": {"c": 1}}})
        assert not matches(pattern, {"detail.a": {"b": 1}})

    def test_fields_are_taken_in_the_order_of_their_whole_names(self, matches: Matches) -> None:
        """A hyphen sorts before a dot, which decides what an absent field is compared with."""
        pattern = {"i": {"a-b": [{"exists": False}], "a": {"b": ["x"]}}}
        assert matches(pattern, {"i": [{"a": {"b": "x"}}]})
        assert not matches(pattern, {"i": [{"a": {"b": "x"}}, {"a-b": 1}]})

    def test_of_a_field_that_stands_twice_the_last_one_counts(self, matches: Matches) -> None:
        """Inside and outside of $or, or with dots and nested."""
        pattern = {"a": ["x"], "$or": [{"a": ["b"]}, {"c": ["d"]}]}
        assert matches(pattern, {"a": "b"})
        assert matches(pattern, {"a": "x", "c": "d"})
        assert not matches(pattern, {"a": "x"})
        assert matches({"a.b": ["x"], "a": {"b": ["y"]}}, {"a": {"b": "y"}})


class TestNullAndEmpty:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-patterns-null-values.html."""

    def test_null_matches_null_only(self, holds: Holds) -> None:
        """A null value is not an empty string, nor an absent field."""
        assert holds("note", None)
        assert not holds("nick", None)
        assert not holds("missing", None)

    def test_empty_string_matches_empty_string_only(self, holds: Holds) -> None:
        """An empty string is a value of its own."""
        assert holds("nick", "")
        assert not holds("note", "")


class TestArrays:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-patterns-arrays.html."""

    def test_an_array_matches_if_any_element_does(self, matches: Matches) -> None:
        """Pattern array and event array must intersect."""
        assert matches({"resources": ["arn:two", "arn:three"]}, EVENT)
        assert not matches({"resources": ["arn:three"]}, EVENT)

    def test_fields_of_objects_in_an_array_must_match_in_one_element(
        self, matches: Matches
    ) -> None:
        """No match whose fields lie in different elements (aws/event-ruler, array matching)."""
        assert matches({"detail": {"items": {"sku": ["B"], "quantity": [2]}}}, EVENT)
        assert not matches({"detail": {"items": {"sku": ["A"], "quantity": [2]}}}, EVENT)

    def test_an_alternative_keeps_to_the_element_as_well(self, matches: Matches) -> None:
        """$or inside and fields outside of it speak of the same element."""
        pattern = {
            "detail": {
                "items": {
                    "sku": ["A"],
                    "$or": [{"quantity": [2]}, {"gift": [True]}],
                }
            }
        }
        assert matches(pattern, EVENT)
        other = {"detail": {"items": [{"sku": "A"}, {"quantity": 2, "gift": True}]}}
        assert not matches(pattern, other)

    def test_arrays_in_arrays_are_looked_through(self, matches: Matches) -> None:
        """Nested arrays stand for their elements at any depth."""
        pattern = {"rows": {"sku": ["B"]}}
        assert matches(pattern, {"rows": [[{"sku": "A"}], [{"sku": "B"}]]})
        assert matches({"rows": [3]}, {"rows": [[1, 2], [3]]})

    def test_an_absent_field_is_absent_in_the_element_that_matched_so_far(
        self, matches: Matches
    ) -> None:
        """Fields are taken in the order of their names, each narrowing the element."""
        pattern = {"items": {"a": ["A"], "gift": [{"exists": False}]}}
        assert matches(pattern, {"items": [{"a": "A"}, {"gift": 1}]})
        assert not matches(pattern, {"items": [{"a": "A", "gift": 1}, {"a": "B"}]})
        alone = {"items": {"gift": [{"exists": False}]}}
        assert not matches(alone, {"items": [{"a": "A"}, {"gift": 1}]})


class TestOperators:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html."""

    def test_prefix_and_suffix(self, holds: Holds) -> None:
        """Begins with and ends with, on strings alone."""
        assert holds("state", {"prefix": "pla"})
        assert not holds("state", {"prefix": "Pla"})
        assert not holds("total", {"prefix": "3"})
        assert holds("file", {"suffix": ".png"})
        assert not holds("file", {"suffix": ".PNG"})

    def test_prefix_and_suffix_can_ignore_case(self, holds: Holds) -> None:
        """equals-ignore-case nests in prefix and suffix."""
        assert holds("state", {"prefix": {"equals-ignore-case": "PLA"}})
        assert holds("file", {"suffix": {"equals-ignore-case": ".PnG"}})
        assert not holds("file", {"suffix": {"equals-ignore-case": ".jpg"}})

    def test_equals_ignore_case(self, holds: Holds) -> None:
        """Equal but for upper and lower case."""
        assert holds("state", {"equals-ignore-case": "PLACED"})
        assert not holds("state", {"equals-ignore-case": "PLACE"})

    def test_wildcard(self, matches: Matches, holds: Holds) -> None:
        """An asterisk stands for any text, even none; a backslash escapes it."""
        assert holds("file", {"wildcard": "dir/*.png"})
        assert holds("state", {"wildcard": "*placed*"})
        assert not holds("file", {"wildcard": "dir/*.jpg"})
        assert not holds("state", {"wildcard": "pl.ced"})
        starred = {"a": [{"wildcard": r"x\*y\\*"}]}
        assert matches(starred, {"a": "x*y\\z"})
        assert not matches(starred, {"a": "xzy\\z"})
        assert matches({"a": [{"wildcard": "x*y"}]}, {"a": "x\ny"})

    @pytest.mark.parametrize(
        "rules",
        [
            [{"wildcard": "*:*:*:*"}],
            [{"wildcard": "*/init/*.png"}, {"wildcard": "dir/*/photo.*"}],
            [{"wildcard": f"{name}*bbb"} for name in "abcd"],
            [{"wildcard": "*aaaaaaaaa"}],
            [{"wildcard": r"\*\*\*\*\*\*\*\*\*\*\*\*"}],
        ],
    )
    def test_wildcards_that_cannot_all_be_open_at_once_are_accepted(
        self, rules: Any, holds: Holds
    ) -> None:
        """AWS counts in how many places of its wildcards a text can be."""
        assert not holds("state", *rules)

    def test_anything_but_values(self, holds: Holds) -> None:
        """One value or a list, of strings or of numbers."""
        assert holds("state", {"anything-but": "gone"})
        assert not holds("state", {"anything-but": "placed"})
        assert not holds("state", {"anything-but": ["gone", "placed"]})
        assert not holds("total", {"anything-but": [300, 400]})
        assert holds("total", {"anything-but": 400})
        assert holds("total", {"anything-but": "300"})

    def test_anything_but_needs_the_field(self, holds: Holds) -> None:
        """An absent field is not a value other than the named one."""
        assert not holds("missing", {"anything-but": "placed"})

    @pytest.mark.parametrize(
        ("field", "rule", "expected"),
        [
            ("state", {"prefix": "pla"}, False),
            ("state", {"prefix": ["x", "y"]}, True),
            ("file", {"suffix": [".jpg", ".png"]}, False),
            ("file", {"wildcard": "*/a/*"}, False),
            ("file", {"wildcard": ["*/b/*"]}, True),
            ("state", {"equals-ignore-case": ["PLACED"]}, False),
            ("total", {"prefix": "3"}, True),
        ],
    )
    def test_anything_but_an_operator(
        self, field: str, rule: Any, expected: bool, holds: Holds
    ) -> None:
        """Anything-but takes prefix, suffix, wildcard and equals-ignore-case, each with lists."""
        assert holds(field, {"anything-but": rule}) is expected

    @pytest.mark.parametrize(
        ("comparison", "expected"),
        [
            (["=", 300], True),
            (["=", 3.0e2], True),
            (["<", 300], False),
            (["<=", 300], True),
            ([">", 299.5], True),
            ([">=", 301], False),
            ([">", 0, "<=", 300], True),
            ([">=", 0, "<", 300], False),
        ],
    )
    def test_numeric(self, comparison: list[Any], expected: bool, holds: Holds) -> None:
        """Comparisons and ranges of numbers."""
        assert holds("total", {"numeric": comparison}) is expected

    def test_numeric_is_for_numbers_only(self, holds: Holds) -> None:
        """Strings and booleans are not compared."""
        assert not holds("state", {"numeric": ["<", 10]})
        assert not holds("gift", {"numeric": ["<", 10]})

    def test_exists(self, holds: Holds) -> None:
        """Presence and absence of a leaf, whatever its value."""
        assert holds("note", {"exists": True})
        assert not holds("missing", {"exists": True})
        assert holds("missing", {"exists": False})
        assert not holds("note", {"exists": False})
        assert holds("items", {"exists": False})  # objects are no leaves

    def test_an_empty_array_has_no_values(self, holds: Holds) -> None:
        """Nothing is there that could match."""
        assert not holds("tags", {"exists": True})
        assert holds("tags", {"exists": False})

    def test_exists_beside_other_values(self, holds: Holds) -> None:
        """Absent, or one of the values."""
        assert holds("missing", {"exists": False}, "x")
        assert holds("state", {"exists": False}, "placed")
        assert not holds("state", {"exists": False}, "gone")

    def test_cidr(self, matches: Matches, holds: Holds) -> None:
        """Addresses in a range, of version 4 or 6."""
        assert holds("ip", {"cidr": "10.0.0.0/24"})
        assert not holds("ip", {"cidr": "10.0.1.0/24"})
        assert not holds("state", {"cidr": "10.0.0.0/24"})
        assert matches({"a": [{"cidr": "2001:db8::/32"}]}, {"a": "2001:db8::7"})

    def test_or_among_fields(self, matches: Matches) -> None:
        """$or joins fields that would otherwise be joined by and; it can be nested."""
        pattern = {
            "source": ["orderflow.orders"],
            "$or": [
                {"detail": {"state": ["gone"]}},
                {
                    "detail": {"state": ["placed"]},
                    "$or": [{"region": ["x"]}, {"account": ["123456789012"]}],
                },
            ],
        }
        assert matches(pattern, EVENT)
        assert not matches(pattern, {**EVENT, "account": "9"})
        assert matches(pattern, {**EVENT, "account": "9", "region": "x"})
        assert not matches(pattern, {**EVENT, "source": "y"})


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ([], "JSON object"),
        ({}, "empty object"),
        ({"detail": {}}, "empty object in an event pattern at detail"),
        ({"source": []}, "source has an empty array"),
        ({"source": "x"}, "source must be an object or an array"),
        ({"source": [["x"]]}, "where a value or an operator must be"),
        ({"source": [{"prefix": "a", "suffix": "b"}]}, "exactly one key"),
        ({"source": [{"starts-with": "a"}]}, "unknown operator 'starts-with'"),
        ({"source": [{"prefix": 1}]}, "prefix takes a string"),
        ({"source": [{"prefix": {"wildcard": "a"}}]}, "equals-ignore-case"),
        ({"source": [{"wildcard": "a**b"}]}, "AWS refuses"),
        ({"source": [{"wildcard": r"a\b"}]}, "AWS refuses"),
        ({"source": [{"wildcard": "a\\"}]}, "AWS refuses"),
        ({"source": [{"exists": "true"}]}, "true or false"),
        ({"source": [{"cidr": "10.0.0.0"}]}, "no CIDR range"),
        ({"source": [{"cidr": "10.0.0.0/33"}]}, "no CIDR range"),
        ({"source": [{"numeric": [">", 1, ">", 2]}]}, "lower to upper"),
        ({"source": [{"numeric": [">", 2, "<", 1]}]}, "lower to upper"),
        ({"source": [{"numeric": [">"]}]}, "one comparison or a range"),
        ({"source": [{"numeric": ["=", "1"]}]}, "malformed"),
        ({"source": [{"numeric": ["!=", 1]}]}, "malformed"),
        ({"source": [{"numeric": ["<", 5_000_000_001]}]}, "-5e9 to 5e9"),
        ({"source": [{"anything-but": []}]}, "anything-but"),
        ({"source": [{"anything-but": ["a", 1]}]}, "only strings or only numbers"),
        ({"source": [{"anything-but": None}]}, "only strings or only numbers"),
        ({"source": [{"anything-but": {"numeric": ["<", 1]}}]}, "anything-but takes"),
        ({"source": [{"anything-but": {"prefix": ""}}]}, "must not be empty"),
        ({"$or": [{"a": ["b"]}]}, "two or more"),
        ({"$or": {"a": ["b"]}}, "two or more"),
        ({"$or": [{"a": ["b"]}, "c"]}, "where an object must be"),
        ({"$or": [{"prefix": ["b"]}, {"a": ["c"]}]}, "operator 'prefix'"),
        ({"source": [{"exists": 0}]}, "true or false"),
        ({"source": [{"exactly": 1}]}, "exactly takes a string"),
        ({"arn": [{"wildcard": "*:*:*:*:*:event-bus/*"}]}, "arn: the rule is too complex"),
        ({"a": [{"anything-but": {"wildcard": ["*aaaaaaaaaa", "x"]}}]}, "a: the rule is too comp"),
        ({"a": [{"wildcard": f"{n}*bbb"} for n in ("", "x", "xx", "xxx")]}, "too complex"),
    ],
)
def test_a_malformed_pattern_is_an_error_that_names_the_field(
    pattern: Any, message: str, matches: Matches, endpoint: Endpoint | None
) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html."""
    with pytest.raises(PatternError, match="" if endpoint else message.replace("$", r"\$")):
        matches(pattern, EVENT)


def criteria(*patterns: Any) -> FilterCriteria:
    return FilterCriteria({"Filters": [{"Pattern": json.dumps(p)} for p in patterns]})


OUTBOX: dict[str, Any] = {
    "eventName": "INSERT",
    "dynamodb": {"NewImage": {"kind": {"S": "outbox"}, "n": {"N": "101"}}},
}


class TestFilterCriteria:
    """https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html."""

    def test_without_filters_everything_passes(self) -> None:
        """An empty object removes the criteria."""
        assert FilterCriteria(None).matches(OUTBOX)
        assert FilterCriteria({}).matches(OUTBOX)

    def test_one_filter_is_enough(self) -> None:
        """Filters are joined by or."""
        filters = criteria({"eventName": ["REMOVE"]}, {"eventName": ["INSERT"]})
        assert filters.matches(OUTBOX)
        assert not filters.matches({**OUTBOX, "eventName": "MODIFY"})

    def test_a_stream_record_is_filtered_by_its_image(self) -> None:
        """https://docs.aws.amazon.com/lambda/latest/dg/with-ddb-filtering.html."""
        filters = criteria(
            {
                "eventName": ["INSERT"],
                "dynamodb": {"NewImage": {"kind": {"S": ["outbox"]}, "n": {"N": ["101"]}}},
            }
        )
        assert filters.matches(OUTBOX)
        assert not filters.matches(
            {"eventName": "INSERT", "dynamodb": {"NewImage": {"kind": {"S": "order"}}}}
        )

    def test_a_plain_pattern_for_dynamodb_is_an_error(self) -> None:
        """The pattern for the data of a stream must be a JSON object."""
        with pytest.raises(PatternError, match="dynamodb must be a JSON object"):
            criteria({"dynamodb": ["outbox"]})

    @pytest.mark.parametrize(
        ("pattern", "body", "expected"),
        [
            ({"body": {"code": ["B"]}}, '{"code": "B"}', True),
            ({"body": {"code": ["B"]}}, '{"code": "A"}', False),
            ({"body": {"code": ["B"]}}, "B", False),
            ({"body": {"code": [{"exists": False}]}}, "B", False),
            ({"body": {"code": [{"exists": False}]}}, "{}", True),
            ({"body": ["B"]}, "B", True),
            ({"body": [{"prefix": "{"}]}, '{"code": "B"}', False),
            ({"messageId": ["1"]}, "B", True),
            ({"messageId": ["1"]}, '{"code": "B"}', True),
            ({"$or": [{"body": ["B"]}, {"body": {"code": ["B"]}}]}, '{"code": "B"}', True),
            ({"body.code": ["B"]}, '{"code": "B"}', True),
            ({"body.code": ["B"]}, "B", False),
            ({"body": {"a.b": ["B"]}}, '{"a": {"b": "B"}}', True),
            ({"body": {"a": {"b": ["B"]}}}, '{"a.b": "B"}', True),
        ],
    )
    def test_a_message_whose_format_is_not_that_of_the_pattern_is_dropped(
        self, pattern: Any, body: str, expected: bool
    ) -> None:
        """https://docs.aws.amazon.com/lambda/latest/dg/with-sqs-filtering.html."""
        record = {"messageId": "1", "eventSource": "aws:sqs", "body": body}
        assert criteria(pattern).matches(record) is expected

    @pytest.mark.parametrize(
        ("rule", "operator"),
        [
            ({"wildcard": "a*"}, "wildcard"),
            ({"cidr": "10.0.0.0/24"}, "cidr"),
            ({"anything-but": {"prefix": "a"}}, "anything-but with prefix"),
            ({"anything-but": {"suffix": ["a"]}}, "anything-but with suffix"),
            ({"anything-but": {"equals-ignore-case": "a"}}, "anything-but with equals-ignore-case"),
            ({"anything-but": {"wildcard": "a*"}}, "anything-but with wildcard"),
        ],
    )
    def test_operators_that_lambda_does_not_know_are_errors(self, rule: Any, operator: str) -> None:
        """https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html."""
        with pytest.raises(PatternError, match=f"body.a: .* does not support {operator}$"):
            criteria({"body": {"a": [rule]}})

    def test_limits(self) -> None:
        """Ten filters of 4,096 characters, at most."""
        with pytest.raises(PatternError, match="11 filters"):
            criteria(*[{"a": ["b"]}] * 11)
        with pytest.raises(PatternError, match="4096"):
            criteria({"a": ["b" * 4096]})
        with pytest.raises(PatternError, match="not JSON"):
            FilterCriteria({"Filters": [{"Pattern": "{"}]})


def transformed(template: str, event: dict[str, Any] | None = None, **paths: str) -> str:
    return InputTransformer(paths, template).apply(
        event or EVENT, rule_arn=RULE_ARN, rule_name="placed", ingestion_time=1767600000.5
    )


class TestInputTransformer:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html."""

    def test_string_template(self) -> None:
        """A quoted template gives a JSON string, with the values put in as they are."""
        text = transformed('"<id> is <state>"', id="$.id", state="$.detail.state")
        assert text == '"7bf73129 is placed"'

    def test_json_template_takes_values_with_their_types(self) -> None:
        """Outside of quotes a value goes in as JSON; the result is minified."""
        text = transformed(
            '{\n "state": <state>,\n "sum": [9, <sum>, true],\n "items": <items>, "no": <gift>}',
            state="$.detail.state",
            sum="$.detail.total",
            items="$.detail.items[1]",
            gift="$.detail.gift",
        )
        assert text == (
            '{"state":"placed","sum":[9,300,true],"items":{"sku":"B","quantity":2},"no":false}'
        )

    def test_json_template_with_variables_inside_of_strings(self) -> None:
        """Inside of quotes there are no further quotes, and escaped ones do not end the string."""
        text = transformed(
            r'{"a": "order \"<id>\" is <state>", "b": <state>}', id="$.id", state="$.detail.state"
        )
        assert json.loads(text) == {"a": 'order "7bf73129" is placed', "b": "placed"}

    def test_reserved_variables(self) -> None:
        """Rule, ingestion time, the event without its detail, and the whole event."""
        text = transformed(
            '{"arn": <aws.events.rule-arn>, "name": "<aws.events.rule-name>",'
            ' "at": <aws.events.event.ingestion-time>, "head": <aws.events.event>,'
            ' "all": <aws.events.event.json>}'
        )
        result = json.loads(text)
        assert result["arn"] == RULE_ARN
        assert result["name"] == "placed"
        assert result["at"] == "2026-01-05T08:00:00.500Z"
        assert result["head"] == {k: v for k, v in EVENT.items() if k != "detail"}
        assert result["all"] == EVENT

    def test_a_path_that_selects_nothing_leaves_nothing(self) -> None:
        """The variable is not created and does not appear; a bare value is an empty string."""
        text = transformed('{"a": "x<gone>y", "b": <gone>}', gone="$.detail.gone")
        assert json.loads(text) == {"a": "xy", "b": ""}

    @pytest.mark.parametrize(
        ("path", "text"),
        [
            ("$.detail.items[0]", "{sku:A,quantity:1,gift:true}"),
            ("$.resources", "[arn:one,arn:two]"),
            ("$.detail.items[*].sku", "[A,B]"),
            ("$.detail.tags", "[]"),
        ],
    )
    def test_an_object_or_array_fits_into_a_text_only_if_that_is_the_template(
        self, path: str, text: str
    ) -> None:
        """Recorded on AWS by the tests of LocalStack."""
        assert transformed('"all of <x>!"', x=path) == f'"all of {text}!"'
        for template in ('{"a": "<x>"}', '{"a": "all of <x>", "b": <x>}', '["<x>"]'):
            with pytest.raises(PatternError, match="quotation marks around <x>, which is an"):
                transformed(template, x=path)

    def test_text_from_the_event_is_not_escaped(self) -> None:
        """A quote inside of a value breaks the document, as it does in EventBridge."""
        event = {**EVENT, "id": 'a"b'}
        assert transformed('{"a": "<id>"}', event, id="$.id") == '{"a": "a"b"}'

    def test_paths_take_indices_and_wildcards(self) -> None:
        """Dot notation, dashes, indices and asterisks are supported; the rest is refused."""
        assert JsonPath("$").select(EVENT) == EVENT
        assert JsonPath("$.detail-type").select(EVENT) == "OrderPlaced.v1"
        assert JsonPath("$.detail.items[*].sku").select(EVENT) == ["A", "B"]
        assert JsonPath("$.detail.items[0].*").select(EVENT) == ["A", 1, True]
        assert JsonPath("$.resources[5]").select(EVENT, "none") == "none"
        for bad in ("detail", "$..sku", "$.detail['a']", "$.a[?(@.b)]", "$."):
            with pytest.raises(PatternError, match="not a JSON path"):
                JsonPath(bad)

    def test_an_undefined_variable_is_an_error(self) -> None:
        """https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_InputTransformer.html."""
        with pytest.raises(PatternError, match="<state>, which no input path defines"):
            InputTransformer({}, '"<state>"')
        with pytest.raises(PatternError, match="are taken"):
            InputTransformer({"AWS.x": "$.id"}, '"<AWS.x>"')
        with pytest.raises(PatternError, match="101 input paths"):
            InputTransformer({f"v{n}": "$.id" for n in range(101)}, '"x"')
        with pytest.raises(PatternError, match="8192"):
            InputTransformer({}, "")


class TestTargetInput:
    """https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutTargets.html."""

    def test_the_whole_event_by_default(self) -> None:
        """Without any input setting the event goes to the target."""
        assert json.loads(target_input({"Id": "t"}, EVENT)) == EVENT

    def test_constant_input(self) -> None:
        """Input replaces the event."""
        assert target_input({"Id": "t", "Input": '{"a": 1}'}, EVENT) == '{"a": 1}'

    def test_part_of_the_event(self) -> None:
        """InputPath selects a part; one that selects nothing is reported."""
        assert target_input({"Id": "t", "InputPath": "$.detail.state"}, EVENT) == '"placed"'
        with pytest.raises(PatternError, match=r"target t: \$\.detail\.x selects nothing"):
            target_input({"Id": "t", "InputPath": "$.detail.x"}, EVENT)

    def test_transformed(self) -> None:
        """InputTransformer builds a text of its own; only one of the three can be given."""
        target = {
            "Id": "t",
            "InputTransformer": {"InputPathsMap": {"i": "$.id"}, "InputTemplate": '"<i>"'},
        }
        assert target_input(target, EVENT) == '"7bf73129"'
        with pytest.raises(PatternError, match="exclude each other"):
            target_input({**target, "Input": "1"}, EVENT)
