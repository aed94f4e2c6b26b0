"""Scenes with exact masks, composed of photographs and cut-outs."""
