"""Run the program: `python -m training.diffegg`."""

import sys

from training.diffegg.train import main

if __name__ == "__main__":
    sys.exit(main())
