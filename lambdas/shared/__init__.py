"""The words that all contexts share: money, ids, and the problems that name them."""
