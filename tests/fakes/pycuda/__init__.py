"""A pycuda without a GPU, for tests: put `tests/fakes` on the path and `import pycuda.driver` finds this one."""
