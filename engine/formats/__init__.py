"""Model files: reading, writing, converting, and the layout their tensors take in GPU memory."""
