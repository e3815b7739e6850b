"""Fault injection: every fault at every site must lose and double nothing."""
