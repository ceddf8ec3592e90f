"""Words into use cases."""
