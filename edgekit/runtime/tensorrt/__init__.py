"""Running a built TensorRT engine: its sidecar, loading it, the backend, its timing."""
