"""Arrays in, arrays out: the only floor that compiles."""
