"""Teachers trained elsewhere: predictions on disk, ONNX files, published checkpoints, a function in torch."""
