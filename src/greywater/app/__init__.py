"""Use cases, one file a verb."""
