"""Reading and editing ONNX graphs."""
