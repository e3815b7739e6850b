"""What is connected to what in an application, read out of its synthesized templates."""
