"""Notifications: notifies customers about their orders, on the channels that they choose."""
