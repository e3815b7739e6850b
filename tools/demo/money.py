"""Money for people: minor units and currencies as they are usually written."""

from collections import Counter
from collections.abc import Iterable, Mapping

Purse = Counter[str]
"""Minor units by currency: money of different currencies is never added up."""

# Currencies whose minor unit is not a hundredth: https://www.iso.org/iso-4217-currency-codes.html
_DIGITS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}


def show(minor: int, currency: str) -> str:
    """An amount in minor units, such as `1,234.50 EUR`."""
    digits = next((digits for digits, those in _DIGITS.items() if currency in those), 2)
    whole, rest = divmod(abs(minor), 10**digits)
    fraction = f".{rest:0{digits}}" if digits else ""
    return f"{'-' if minor < 0 else ''}{whole:,}{fraction} {currency}"


def show_all(amounts: Mapping[str, int]) -> str:
    """Amounts by currency, such as `10.00 CHF + 1,234.50 EUR`."""
    shown = [show(minor, currency) for currency, minor in sorted(amounts.items()) if minor]
    return " + ".join(shown) or "0"


def total(amounts: Iterable[tuple[int, str]]) -> Purse:
    """Amounts added up, each currency for itself."""
    purse: Purse = Counter()
    for minor, currency in amounts:
        purse[currency] += minor
    return purse
