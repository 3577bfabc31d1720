"""Uploaded data with a schema: a table of typed columns, or arrays."""
