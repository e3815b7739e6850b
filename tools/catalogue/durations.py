"""Durations for people."""

_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def spoken(seconds: int | str) -> str:
    """Returns a duration with units: `1209600` becomes `14 d`, `90` becomes `1 min 30 s`."""
    rest = int(seconds)
    parts = []
    for unit, length in _UNITS:
        count, rest = divmod(rest, length)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts) or "0 s"
