"""Steps that bring the records store from any earlier schema to the present one (Alembic)."""
