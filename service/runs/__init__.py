"""One training each: its states, epochs, events, files, and the workers that do it."""
