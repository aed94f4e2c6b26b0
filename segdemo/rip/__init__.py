"""RIP: edges split merged instance masks and join fragmented ones (DiffEGG, section 4.4, C.4).

Masks are cut into connected components by the edges, the components spread by a random walk that
edges stop, and what then overlaps is one instance. numpy and SciPy only.
"""
