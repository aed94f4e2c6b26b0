"""Run the program: `python -m training.diffdis`."""

import sys

from training.diffdis.train import main

if __name__ == "__main__":
    sys.exit(main())
