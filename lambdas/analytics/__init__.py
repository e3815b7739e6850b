"""Analytics: sales and activity, minute by minute."""
