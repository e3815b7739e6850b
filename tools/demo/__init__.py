"""The demo: runs orders through the synthesized templates, and audits the result."""
