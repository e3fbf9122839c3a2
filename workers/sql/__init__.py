"""Questions answered from a relational database, read-only."""
