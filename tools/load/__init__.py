"""Rehearses load in virtual time: backlogs, latencies and recovery, from measured flows."""
