"""What is measured: where data sets lie, how files are read, what may be wrong with them."""
