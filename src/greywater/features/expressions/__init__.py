"""A small language for conditions on columns: read, checked and worked out without ever running code.

`expression.Expression` is what others use; `docs/feature_quality.md` describes the language.
"""
