"""The networks whose self-attention DiffEGG reads: one module a family, one interface (`base`)."""
