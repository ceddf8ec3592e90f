"""Made-up money."""
