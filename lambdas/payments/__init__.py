"""Payments: authorizes and refunds through a payment provider."""
