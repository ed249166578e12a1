"""The experiments of unsupervised-learning: one file each."""

from groundwork import Claim

#: Over all estimators: the geometric mean of the ratios of time to the reference.
CLAIMS = [
    Claim("geometric_mean.fit", "<=", 1.0, presets=("full",)),
    Claim("geometric_mean.predict", "<=", 1.0, presets=("full",)),
]
