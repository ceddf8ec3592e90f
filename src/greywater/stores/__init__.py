"""Where records live; one adapter a file."""
