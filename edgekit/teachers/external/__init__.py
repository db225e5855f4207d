"""Teachers trained elsewhere: predictions on disk, ONNX files, transformers, published checkpoints, torch functions."""
