"""From a student to deployable ONNX files and the bundle around them."""
