"""Clusters, maps, rules and outliers from the ground up, as right and as quick as the libraries' own."""
