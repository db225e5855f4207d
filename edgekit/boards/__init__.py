"""What is known of boards and JetPacks, in one data file."""
