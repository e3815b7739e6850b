"""Checkout: the saga from a placed order to its confirmation or rejection."""
