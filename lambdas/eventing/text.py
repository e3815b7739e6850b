"""Text from outside: every script passes unchanged, characters that steer something do not."""

import re

PATTERN = r"^[^\u0000-\u001f\u007f-\u009f\u2028\u2029\u202d\u202e]*$"
"""What `fault` accepts, as a regular expression of JSON Schema."""

# Control characters (category Cc) and the two separators break lines and headers. The two overrides
# of direction reorder what stands around the text as well; no script needs them, and marks,
# embeddings and isolates stay allowed: https://www.unicode.org/reports/tr36/#Bidirectional_Text_Spoofing
# Halves of surrogate pairs cannot be encoded at all.
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202d\u202e\ud800-\udfff]")
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
    """The first character that text may not have, such as `contains U+000A (line feed)`."""
    found = _FORBIDDEN.search(text)
    if found is None:
        return None
    other = "surrogate" if found[0] >= "\ud800" else "control character"
    return f"contains U+{ord(found[0]):04X} ({_NAMES.get(found[0], other)})"


def harmless(text: str) -> str:
    """The text with a space in place of each character that it may not have."""
    return _FORBIDDEN.sub(" ", text)


def visible(text: str) -> str:
    """The text with an escape such as `\\u200d` for each character that cannot be seen."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )
