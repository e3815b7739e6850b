"""Benchmarks: the cost of cold starts and of rehearsals."""
