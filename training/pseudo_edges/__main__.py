"""Run the program: `python -m training.pseudo_edges`."""

import sys

from training.pseudo_edges.run import main

if __name__ == "__main__":
    sys.exit(main())
