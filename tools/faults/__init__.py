"""The machine that tries to refute that nothing is lost or doubled, whatever fails."""
