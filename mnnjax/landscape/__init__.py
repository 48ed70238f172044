"""What is true at a point or in a region of weight space, without training.

X (N, d0), one row per point; y (N,); W (d1, d0) and z (d1,), the network f(X W^T) z; A (N, d1), a region; rho, the
slope for negative neural inputs, 0 for the ReLU. Arrays may be NumPy's, JAX's, lists, or CPU tensors without grad.

Is my network at a minimum, and of which kind?            certify; certifiable: is it small enough?
Where is the next local minimum, downhill from here?      descend
What is the smallest loss that any W and z have?          exact_global_minimum (d0 <= 3)
Which region does W lie in?                               activation_pattern; neural_inputs
What are the minima of a region, before anyone trains?    region_errors (MSE, MCE), region_residual
Does a region hold a minimum at all?                      region_holds_dlm
Are all of a region's minima global?                      khatri_rao_rank(A, X) == N
Can I have a global minimum without training?             global_minimum; construction_error
How much of weight space is bad, or good?                 exact_volumes (d0 <= 3), estimate_volumes, split_volume (rare)
  on average over the points?                             estimate_expected_volumes
  rank-deficient, exactly, for any d1?                    exact_rank_deficient (d0 up to 3)
The product A o X itself, or without forming it           khatri_rao; khatri_rao_gram, _matvec, _rmatvec
Splitting run by run, and intervals                       fit_importance, run_splitting, combine; clopper_pearson

khatri_rao*, activation_pattern, neural_inputs, region_residual and region_errors work under jit and vmap; the others
run on the host. Print what they return: Certificate, Volumes, ExactVolumes, Estimate, SplitEstimate, GlobalMinimum.

certify and descend also take a batch of networks, on a leading axis of W and z, and use all cores then (batches.py).

This package alone needs neither Flax, Optax nor Orbax. For certificates on a machine without them:

    pip install --no-deps mnnjax
    pip install jax jaxlib jaxtyping numpy scipy threadpoolctl

Where it is: regions/ before training; certificates/ verdicts; descent/ ways down, and the lowest point; construction/
Theorem 8; volumes/ exact, sampled, split.
"""

from mnnjax.landscape.certificates.certificate import Certificate, certifiable, certify
from mnnjax.landscape.construction.theorem8 import construction_error, global_minimum
from mnnjax.landscape.descent.descent import Descent, descend
from mnnjax.landscape.descent.exhaustive import GlobalMinimum, exact_global_minimum
from mnnjax.landscape.regions.khatri_rao import (
    khatri_rao,
    khatri_rao_gram,
    khatri_rao_matvec,
    khatri_rao_rank,
    khatri_rao_rmatvec,
)
from mnnjax.landscape.regions.membership import region_holds_dlm
from mnnjax.landscape.regions.minima import region_errors, region_residual
from mnnjax.landscape.regions.patterns import activation_pattern, neural_inputs
from mnnjax.landscape.volumes.enumeration import ExactVolumes, exact_rank_deficient, exact_volumes
from mnnjax.landscape.volumes.intervals import Estimate, Volumes, clopper_pearson
from mnnjax.landscape.volumes.sampling import estimate_expected_volumes, estimate_volumes
from mnnjax.landscape.volumes.splitting import SplitEstimate, combine, fit_importance, run_splitting, split_volume

__all__ = [
    "Certificate", "Descent", "Estimate", "ExactVolumes", "GlobalMinimum", "SplitEstimate", "Volumes",
    "activation_pattern", "certifiable", "certify", "clopper_pearson", "combine", "construction_error", "descend",
    "estimate_expected_volumes", "estimate_volumes", "exact_global_minimum", "exact_rank_deficient", "exact_volumes",
    "fit_importance", "global_minimum", "khatri_rao", "khatri_rao_gram", "khatri_rao_matvec", "khatri_rao_rank",
    "khatri_rao_rmatvec", "neural_inputs", "region_errors", "region_holds_dlm", "region_residual", "run_splitting",
    "split_volume",
]  # fmt: skip
