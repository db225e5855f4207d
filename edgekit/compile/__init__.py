"""What NVIDIA's own compiler makes of a graph: TensorRT for RTX, whose parser and builder need no GPU."""
