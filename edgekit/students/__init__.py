"""Networks that fly: under one million parameters, rgb in, task heads out."""
