"""What the service stands on: database, queue, artifacts, child processes, logging. Knows none of the nouns."""
