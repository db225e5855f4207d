"""From a bundle to a TensorRT engine, on the machine that will run it."""
