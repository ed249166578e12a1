"""Tell classes apart by counting: naive Bayes, four models of a column, and how far it is wrong.

The four likelihoods are derived in `supervised_learning.naive_bayes`. Learning is one pass of
counting, so it takes the least time of all classifiers here. The figure shows what the naive
assumption does: a column is copied again and again, which adds nothing to know. The probabilities
run to 0 and 1, since each copy counts as fresh evidence; the decisions hardly change. On the right,
SMS messages: the words whose counts speak loudest for spam.

P. Domingos and M. Pazzani, On the optimality of the simple Bayesian classifier under zero-one loss,
1997; A. McCallum and K. Nigam, A comparison of event models for naive Bayes text classification,
1998.
"""

from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn import naive_bayes as reference
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.metrics import f1_score, log_loss
from sklearn.model_selection import cross_val_predict, train_test_split
from sklearn.preprocessing import StandardScaler

from groundwork import Claim, Run, plots
from groundwork.estimators import Largest, Memory, Pair, Rows, Seeds, Sets, study
from supervised_learning.naive_bayes import BernoulliNB, CategoricalNB, GaussianNB, MultinomialNB

PRESETS = {
    "smoke": {"sets": ("iris", "wine"), "seeds": 2, "rows": 1000},
    "default": {},
    "full": {
        "text": "sms_spam",
        "sets": ("mushrooms", "penguins", "letter", "otto", "adult"),
        "seeds": 5,
        "rows": 20_000,
        "largest": 100_000,
        "memory": True,
    },
}
CLAIMS = [
    Claim("accuracy_lost_to_copies", "<=", 0.05),
    Claim("loss_added_by_copies", ">=", 0.3),
    Claim("spam_f1", ">=", 0.9, presets=("full",)),
    Claim("apart.GaussianNB", "<=", 1e-6),
    Claim("apart.MultinomialNB", "<=", 1e-6),
    Claim("apart.BernoulliNB", "<=", 1e-6),
    Claim("apart.CategoricalNB", "<=", 1e-6),
    Claim("ratio.fit.GaussianNB", "<=", 3.0, presets=("full",)),
    Claim("ratio.predict.GaussianNB", "<=", 3.0, presets=("full",)),
    Claim("ratio.fit.MultinomialNB", "<=", 3.0, presets=("full",)),
    Claim("ratio.predict.MultinomialNB", "<=", 3.0, presets=("full",)),
    Claim("ratio.fit.BernoulliNB", "<=", 3.0, presets=("full",)),
    Claim("ratio.predict.BernoulliNB", "<=", 3.0, presets=("full",)),
    Claim("ratio.fit.CategoricalNB", "<=", 3.0, presets=("full",)),
    Claim("ratio.predict.CategoricalNB", "<=", 3.0, presets=("full",)),
    Claim("exponent_excess.GaussianNB", "<=", 0.15, presets=("full",)),
    Claim("exponent_excess.MultinomialNB", "<=", 0.15, presets=("full",)),
    Claim("exponent_excess.BernoulliNB", "<=", 0.15, presets=("full",)),
    Claim("exponent_excess.CategoricalNB", "<=", 0.15, presets=("full",)),
    Claim("memory_ratio.GaussianNB", "<=", 2.0, presets=("full",)),
    Claim("memory_ratio.MultinomialNB", "<=", 2.0, presets=("full",)),
    Claim("memory_ratio.BernoulliNB", "<=", 2.0, presets=("full",)),
    Claim("memory_ratio.CategoricalNB", "<=", 2.0, presets=("full",)),
]
COPIES = (0, 1, 2, 5, 10, 20, 50)


def main(
    run: Run,
    *,
    text: Annotated[Literal["none", "sms_spam"], "the messages for the right panel"] = "none",
    sets: Sets = ("iris", "wine", "breast_cancer", "digits"),
    seeds: Seeds = 3,
    rows: Rows = 20_000,
    largest: Largest = 0,
    memory: Memory = False,
) -> None:
    """Copy a column, read messages, then hold the four models against the reference."""
    figure, axes = plots.figure(1, 2 if text != "none" else 1, height=3.0, squeeze=False)
    draw_copies(run, axes[0, 0])
    if text != "none":
        draw_words(run, axes[0, 1], text)
    run.figure(
        "evidence",
        figure,
        "One column copied again and again: the accuracy stays, the probabilities go wrong."
        + (" Right: the words that speak loudest for spam." if text != "none" else ""),
    )
    pairs = [
        Pair("GaussianNB", GaussianNB(), reference.GaussianNB()),
        Pair(
            "MultinomialNB",
            MultinomialNB(),
            reference.MultinomialNB(),
            prepare=levels,
            make=made_levels,
        ),
        Pair("BernoulliNB", BernoulliNB(), reference.BernoulliNB()),
        Pair(
            "CategoricalNB",
            CategoricalNB(min_categories=8),
            reference.CategoricalNB(min_categories=8),
            prepare=levels,
            make=made_levels,
        ),
    ]
    study(run, pairs, sets=sets, seeds=seeds, rows=rows, largest=largest, memory=memory)


def levels(X: NDArray) -> NDArray:
    """Standardized columns as levels 0 to 7, half a deviation each."""
    return np.clip(np.floor(2 * X) + 4, 0, 7)


def made_levels(n: int, seed: int) -> tuple[NDArray, NDArray]:
    """Made rows of levels: X (n, 20), y (n,)."""
    from sklearn.datasets import make_classification

    X, y = make_classification(n, 20, n_informative=10, n_redundant=4, random_state=seed)
    return levels(StandardScaler().fit_transform(X)), y


def draw_copies(run: Run, axes: Any) -> None:
    bunch = run.data("breast_cancer")
    X, y = StandardScaler().fit_transform(bunch["x"][:, :10]), bunch["y"]
    accuracies, losses = [], []
    for copies in COPIES:
        wide = np.column_stack([X, *[X[:, :1]] * copies])
        p = cross_val_predict(GaussianNB(), wide, y, cv=5, method="predict_proba")
        p = np.clip(p, 1e-15, None)
        accuracies.append(float((p.argmax(axis=1) == y).mean()))
        losses.append(float(log_loss(y, p / p.sum(axis=1, keepdims=True))))
    run.metric("accuracy_lost_to_copies", accuracies[0] - accuracies[-1])
    run.metric("loss_added_by_copies", losses[-1] - losses[0], "nats")
    axes.plot(COPIES, accuracies, "o-", markersize=3, label="accuracy")
    axes.plot(COPIES, losses, "s--", markersize=3, label="loss (nats)")
    axes.set(title="A column copied", xlabel="copies of the first column", ylim=(0, None))
    axes.legend()


def draw_words(run: Run, axes: Any, text: str) -> None:
    frame = run.data(text)["frame"]
    label, message = (frame[name].to_numpy(str) for name in frame.columns[:2])
    spam = (label == "spam").astype(int)
    train, test, y, test_y = train_test_split(
        message, spam, test_size=0.25, random_state=run.seed, stratify=spam
    )
    counter = CountVectorizer(min_df=3)
    X, unseen = counter.fit_transform(train).toarray(), counter.transform(test).toarray()
    model = MultinomialNB().fit(X, y)
    run.metric("spam_f1", f1_score(test_y, model.predict(unseen)))
    ratio = model.feature_log_prob_[1] - model.feature_log_prob_[0]
    loudest = np.argsort(ratio)[-12:]
    axes.barh(counter.get_feature_names_out()[loudest], np.exp(ratio[loudest]))
    axes.set(title="Words of spam", xlabel="times as likely in spam")
