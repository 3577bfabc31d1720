"""What a workspace uses, and what it may use."""
