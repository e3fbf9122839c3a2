"""Servers that come as Python packages, run as child processes on loopback."""
