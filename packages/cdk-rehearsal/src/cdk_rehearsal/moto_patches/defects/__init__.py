"""What moto gets wrong: each patch names what AWS does, and how to reproduce the defect."""
