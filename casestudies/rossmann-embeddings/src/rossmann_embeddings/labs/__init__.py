"""The experiments of rossmann-embeddings: one file each."""
