"""Runs the command `rehearse`."""

from cdk_rehearsal.cli import main

main()
