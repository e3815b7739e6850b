"""The sample: stock, prices, and some hundred orders of many kinds."""

from pathlib import Path

ORDERS = Path(__file__).with_name("orders.csv")
STOCK = Path(__file__).with_name("stock.csv")
MISTAKES = Path(__file__).with_name("mistakes.csv")
"""A supplier's file with wrong rows."""
RIGHT_AMONG_MISTAKES = {"GLOBE-ANTIQUE": 4, "ATLAS-ROAD": 12, "TELESCOPE-SMALL": 6}
"""Units of the items in its correct rows."""
FILES = (ORDERS, STOCK, MISTAKES)
