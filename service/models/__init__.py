"""Named model definitions with their revisions, and the published versions and aliases that are served."""
