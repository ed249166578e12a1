"""Support vector machines: kernels, the dual by SMO, the primal by Newton's method."""

from supervised_learning.svm.machines import SVC, SVR
from supervised_learning.svm.primal import LinearSVC, LinearSVR

__all__ = ["SVC", "SVR", "LinearSVC", "LinearSVR"]
