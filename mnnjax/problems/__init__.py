"""Where the points X (N, d0) and labels y (N,) come from: drawn (make_problem), or images that are read and whitened
(open_images, fit_whitening, draw_images)."""

from mnnjax.problems.gaussian import draw_inputs, make_problem, random_labels, teacher_labels
from mnnjax.problems.images import Images, draw_images, nominal_shape, open_images
from mnnjax.problems.whitening import Unwhitened, Whitening, fit_whitening

__all__ = [
    "Images", "Unwhitened", "Whitening", "draw_images", "draw_inputs", "fit_whitening", "make_problem", "nominal_shape",
    "open_images", "random_labels", "teacher_labels",
]  # fmt: skip
