"""What a report says of measurements, and the report as Markdown."""
