"""Drivers of the engine."""
