"""Notifications: tells customers what happens to their orders, the way they want."""
