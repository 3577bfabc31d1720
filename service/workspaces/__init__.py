"""Tenants: every row of every other noun belongs to a workspace."""
