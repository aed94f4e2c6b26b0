"""What RIP makes of masks: AP (`instances`) or PQ (`panoptic`) before and after."""
