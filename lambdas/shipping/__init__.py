"""Shipping: has orders delivered by a carrier, and detects late ones."""
