"""The training loop that every program shares; it knows none of them."""
