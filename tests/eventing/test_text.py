"""Text in any script is unchanged; characters that could break lines or headers are named."""

import re
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdas.eventing import text

BREAKS = ("Cc", "Zl", "Zp", "Cs")
"""Unicode categories of characters that break lines or cannot be encoded."""
OVERRIDES = "\u202d\u202e"


def is_forbidden(letter: str) -> bool:
    return unicodedata.category(letter) in BREAKS or letter in OVERRIDES


def test_only_control_characters_and_overrides_are_forbidden() -> None:
    for code in range(sys.maxunicode + 1):
        letter = chr(code)
        assert (text.fault(f"a{letter}b") is not None) is is_forbidden(letter), hex(code)


@pytest.mark.parametrize(
    ("letter", "name"),
    [
        ("\x00", "contains U+0000 (null)"),
        ("\n", "contains U+000A (line feed)"),
        ("\r", "contains U+000D (carriage return)"),
        ("\x01", "contains U+0001 (control character)"),
        ("\x85", "contains U+0085 (next line)"),
        ("\u2028", "contains U+2028 (line separator)"),
        ("\u2029", "contains U+2029 (paragraph separator)"),
        ("\u202e", "contains U+202E (right-to-left override)"),
        ("\ud800", "contains U+D800 (surrogate)"),
    ],
)
def test_the_first_forbidden_character_is_named(letter: str, name: str) -> None:
    assert text.fault(f"a{letter}\n") == name


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Zoë\u00a0van\u202fder\u2009Berg",
        "क्\u200dष والله\u200c\u200f ש\u05b8\u05dc\u05d5\u05b9\u05dd",
        "\u2067שלם\u2069 and \u202bשלם\u202c",
        "👩\u200d👩\u200d👧🏽 ❤\ufe0f 🏴\U000e0067\U000e0062\U000e007f",
        "e\u0301 Z\u0351\u036b\u0343 co\u00adop \ufeff",
        "𠮷野家 ㍿ ｱｲｳ",
    ],
)
def test_text_in_any_script_is_accepted(value: str) -> None:
    assert text.fault(value) is None
    assert text.harmless(value) == value


@given(st.text(st.characters()))
def test_the_documented_pattern_matches_the_check(value: str) -> None:
    if not re.search("[\ud800-\udfff]", value):
        assert bool(re.fullmatch(text.PATTERN, value)) is (text.fault(value) is None)
    assert text.fault(text.harmless(value)) is None
    assert len(text.harmless(value)) == len(value)
    unseen = {"Cc", "Cs", "Zl", "Zp", "Zs"}
    shown = text.visible(value).replace(" ", "")
    assert not any(unicodedata.category(letter) in unseen for letter in shown)


def test_invisible_characters_become_escapes() -> None:
    assert text.visible("é件\x07\u200d\ud800\U000e0067") == r"é件\x07\u200d\ud800\U000e0067"
