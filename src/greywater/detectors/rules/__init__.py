"""Typologies as data: rules read from TOML, checked, evaluated for millions of payments or one, back-tested, tuned."""
