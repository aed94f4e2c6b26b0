"""RIP: refine instance masks by an edge map (DiffEGG, section 4.4, appendix C.4, Algorithm 4).

`refine` repairs masks by one of two algorithms, chosen by the type of its settings:

- `walk`: the paper's. Connected components cut by edges spread by a random walk that edges stop,
  and components that then overlap are one instance.
- `region_merging`: for edges of which many are false. A mask is cut only along whole borders of a
  region hierarchy.

`instances` and `semantic` run it class by class, on instance masks and on class maps; `subject`
divides one soft mask. numpy, SciPy and scikit-image only.
"""
