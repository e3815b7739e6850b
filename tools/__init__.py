"""What the engineers of this shop run. Nothing imports from here but its own tests."""
