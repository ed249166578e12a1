"""The experiments of graph-nets: one file each."""
