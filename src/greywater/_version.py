"""The version of Greywater."""

__version__ = "0.1.0"
