"""The demo: orders through the synthesized templates, and books that must balance."""
