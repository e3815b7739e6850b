"""Shipping: has orders carried to their customers, and notices when one is late."""
