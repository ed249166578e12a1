"""The experiments of cnn-inference-pipeline: one file each."""
