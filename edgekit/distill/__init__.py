"""From an ensemble to a student: targets, their store, and what the student minimises."""
