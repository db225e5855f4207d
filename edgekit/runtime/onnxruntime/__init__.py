"""Running a bundle on the CPU through onnxruntime."""
