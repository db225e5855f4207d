"""A recipe's student in many shapes on one study: what meets a budget of milliseconds is trained and compared."""
