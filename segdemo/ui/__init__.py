"""The page: one subpackage per tab, above the pieces that they share."""
