"""What follows from the event classes: schemas, frozen copies, types for other languages."""
