"""Journals and artifacts in relational databases: SQLite, one file, and PostgreSQL."""
