"""Training of the compact embedded models."""
