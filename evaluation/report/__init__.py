"""Tables, plots and panels of results, and the figures that papers print."""
