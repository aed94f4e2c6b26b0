"""The pictures of this repository: photographs of packages, examples, screenshots, sheets."""
