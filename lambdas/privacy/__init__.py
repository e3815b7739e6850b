"""Privacy: erases a customer's personal data on request, in all contexts, and proves it."""
