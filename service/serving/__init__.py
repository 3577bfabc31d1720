"""Loaded engines: what answers predictions. Knows no HTTP and no database."""
