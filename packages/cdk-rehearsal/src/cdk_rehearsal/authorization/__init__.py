"""Authorization of calls and deliveries, as AWS does it."""
