"""Who may do what, as data."""
