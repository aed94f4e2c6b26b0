"""The tab "Cut out": one image in; its mask, edge and cut-out."""
