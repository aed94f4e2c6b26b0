"""Run the program: `python -m training.small`."""

import sys

from training.small.train import main

if __name__ == "__main__":
    sys.exit(main())
