"""The pixels: header → decode → select → display → tensor, the same code for node and training."""
