"""The core that histogram boosters share: bins, histograms, losses, leaf-wise trees, prediction.

A booster on top of it goes through these steps. `binning.find_bins` maps every column to at most
255 bins, once. For each tree, a loss of `losses` gives the gradient and the hessian of each row;
`histograms.build_histogram` sums them over the rows of a node, bin by bin, and
`histograms.subtract_histogram` gets a node's sibling for free; `grower.grow_tree` puts these
together leaf by leaf, and `predictor` sends rows through the trees.
"""
