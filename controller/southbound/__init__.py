"""Everything that speaks to switches: the only package that imports Ryu."""
