"""From a box or clicks to the mask of one object."""
