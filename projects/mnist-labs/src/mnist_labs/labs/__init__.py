"""The experiments of mnist-labs: one file each."""
