"""The store: what the registry needs of a database, on SQLite and on MongoDB."""
