"""The experiments of tabular-labs: one file each."""
