"""What is known of boards and JetPacks, in one data file, and what can be read of this machine."""
