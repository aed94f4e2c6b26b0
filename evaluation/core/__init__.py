"""How every measuring program rle: streaming, resume, versions, command line, models."""
