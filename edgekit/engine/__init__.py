"""Building TensorRT engines from a bundle, on the device."""
