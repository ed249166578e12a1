"""The experiments of quantized-cnn: one file each."""
