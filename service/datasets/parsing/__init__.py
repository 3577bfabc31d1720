"""Reads an upload into stored files, a schema and statistics, in a child process of its own. Knows no HTTP and no database."""
