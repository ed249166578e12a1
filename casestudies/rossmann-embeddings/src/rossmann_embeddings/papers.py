"""The numbers of the paper, to stand beside ours.

C. Guo and F. Berkhahn, Entity embeddings of categorical variables, 2016: MAPE on Rossmann's sales,
200,000 rows to learn from, the rest of the split's tenth to judge by; five networks averaged. The
split by time judges by the latest tenth of the rows, the shuffled one by a random tenth.
"""

#: Split, method, how categories are written → MAPE.
PAPER: dict[tuple[str, str, str], float] = {
    ("time", "kNN", "codes"): 0.290,
    ("time", "kNN", "embeddings"): 0.116,
    ("time", "random forest", "codes"): 0.158,
    ("time", "random forest", "embeddings"): 0.108,
    ("time", "gradient boosting", "codes"): 0.152,
    ("time", "gradient boosting", "embeddings"): 0.115,
    ("time", "network", "one-hot"): 0.101,
    ("time", "network", "embeddings"): 0.093,
    ("shuffled", "kNN", "codes"): 0.315,
    ("shuffled", "kNN", "embeddings"): 0.099,
    ("shuffled", "random forest", "codes"): 0.167,
    ("shuffled", "random forest", "embeddings"): 0.089,
    ("shuffled", "gradient boosting", "codes"): 0.122,
    ("shuffled", "gradient boosting", "embeddings"): 0.071,
    ("shuffled", "network", "one-hot"): 0.070,
    ("shuffled", "network", "embeddings"): 0.070,
}
