"""The sample that ships with the demo: stock, prices, and some hundred orders of many kinds."""

from pathlib import Path

ORDERS = Path(__file__).with_name("orders.csv")
STOCK = Path(__file__).with_name("stock.csv")
