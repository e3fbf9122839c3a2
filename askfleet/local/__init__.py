"""The local stack: its processes, their supervision, and the number of each worker."""
