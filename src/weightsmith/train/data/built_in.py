"""The sets that come with scikit-learn."""

import numpy as np

from weightsmith.train.data.raw import Raw


def read_built_in(name: str) -> Raw:
    """One of `BUILT_IN_DATA`.

    `digits` is 1,797 images of 8 x 8; `diabetes` is a regression in original units; the others are plain rows of
    features in two or three classes.
    """
    from sklearn import datasets

    if name == "digits":
        digits = datasets.load_digits()
        return Raw("digits", digits.images[:, None].astype(np.float32), digits.target, "image", task="classification")
    if name == "diabetes":
        found = datasets.load_diabetes(scaled=False)
        return Raw(name, found.data, found.target, feature_names=list(found.feature_names), task="regression")
    found = {"breast_cancer": datasets.load_breast_cancer, "wine": datasets.load_wine, "iris": datasets.load_iris}[
        name
    ]()
    features, classes = [str(feature) for feature in found.feature_names], [str(label) for label in found.target_names]
    return Raw(name, found.data, found.target, feature_names=features, class_names=classes, task="classification")
