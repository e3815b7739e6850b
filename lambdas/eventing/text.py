"""Text from outside: all scripts are allowed; control characters and overrides are not."""

import re

PATTERN = r"^[^\u0000-\u001f\u007f-\u009f\u2028\u2029\u202d\u202e]*$"
"""The strings without a `fault`, as a regular expression for JSON Schema."""

# Control characters (category Cc) and the two separators break lines and headers. The two
# directional overrides also reorder the text around them, and no script needs them. Directional
# marks, embeddings and isolates are allowed:
# https://www.unicode.org/reports/tr36/#Bidirectional_Text_Spoofing
# Lone surrogates cannot be encoded in UTF-8.
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202d\u202e\ud800-\udfff]")
# Invisible characters: the above, all spaces except U+0020, joiners, directional marks and tags.
# They are listed here because each version of Python has its own version of Unicode.
_INVISIBLE = re.compile(
    r"[\x00-\x1f\x7f-\xa0\xad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f"
    r"\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\u3164\ud800-\udfff\ufe00-\ufe0f\ufeff\uffa0"
    r"\ufff0-\uffff\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_NAMES = {
    "\x00": "null",
    "\x07": "bell",
    "\x08": "backspace",
    "\t": "tab",
    "\n": "line feed",
    "\x0b": "vertical tab",
    "\x0c": "form feed",
    "\r": "carriage return",
    "\x1b": "escape",
    "\x7f": "delete",
    "\x85": "next line",
    "\u2028": "line separator",
    "\u2029": "paragraph separator",
    "\u202d": "left-to-right override",
    "\u202e": "right-to-left override",
}


def fault(text: str) -> str | None:
    """Names the first forbidden character, as in `contains U+000A (line feed)`; otherwise None."""
    found = _FORBIDDEN.search(text)
    if found is None:
        return None
    other = "surrogate" if found[0] >= "\ud800" else "control character"
    return f"contains U+{ord(found[0]):04X} ({_NAMES.get(found[0], other)})"


def harmless(text: str) -> str:
    """Returns the text with each forbidden character replaced by a space."""
    return _FORBIDDEN.sub(" ", text)


def visible(text: str) -> str:
    """Returns the text with each invisible character replaced by an escape such as `\\u200d`."""
    return _INVISIBLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
