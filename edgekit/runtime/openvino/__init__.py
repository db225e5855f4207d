"""Running a bundle on the CPU through OpenVINO."""
