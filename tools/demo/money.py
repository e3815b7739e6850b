"""Amounts of money as text."""

from collections import Counter
from collections.abc import Iterable, Mapping

Amounts = Counter[str]
"""Minor units by currency."""

# Currencies whose minor unit is not a hundredth: https://www.iso.org/iso-4217-currency-codes.html
_DIGITS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}


def show(minor: int, currency: str) -> str:
    """Returns an amount in minor units as text, such as `1,234.50 EUR`."""
    digits = next((digits for digits, those in _DIGITS.items() if currency in those), 2)
    whole, rest = divmod(abs(minor), 10**digits)
    fraction = f".{rest:0{digits}}" if digits else ""
    return f"{'-' if minor < 0 else ''}{whole:,}{fraction} {currency}"


def show_all(amounts: Mapping[str, int]) -> str:
    """Returns amounts by currency as text, such as `10.00 CHF + 1,234.50 EUR`."""
    shown = [show(minor, currency) for currency, minor in sorted(amounts.items()) if minor]
    return " + ".join(shown) or "0"


def total(amounts: Iterable[tuple[int, str]]) -> Amounts:
    """Adds amounts by currency."""
    added: Amounts = Counter()
    for minor, currency in amounts:
        added[currency] += minor
    return added
