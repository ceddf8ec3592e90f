"""Groups, views, training sets as of a moment, online vectors, statistics, drift, validation and lineage."""
