"""Networks for the device: under one million parameters, sensors in, one map per task out."""
