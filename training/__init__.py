"""Training programs and the data, losses and loop that they share."""
