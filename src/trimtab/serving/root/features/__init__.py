"""Feature sources: where the root gets columns from. A small protocol, packed rows in SQLite, and a shared cache."""
