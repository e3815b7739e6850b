"""Keeps a rehearsal and its machine apart: settings, sockets, modules, variables and output."""
