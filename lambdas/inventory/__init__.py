"""Inventory: what the shop has and what it costs, per SKU."""
