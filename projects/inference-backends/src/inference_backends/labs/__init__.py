"""The experiments of inference-backends: one file each."""
