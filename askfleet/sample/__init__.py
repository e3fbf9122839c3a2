"""Sample content of our own: the database of a support desk, generated from a seed."""
