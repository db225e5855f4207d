"""Networks for the device: under one million parameters, rgb in, one map per task out."""
