"""The infrastructure: one module for each context, composed in `app.py`."""
