"""Measuring programs: predictions against ground truth."""
