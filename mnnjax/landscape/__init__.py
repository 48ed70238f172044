"""What is true at a point or in a region of weight space, without training."""

from mnnjax.landscape.certificate import Certificate, certifiable, certify
from mnnjax.landscape.construct import construction_error, global_minimum
from mnnjax.landscape.enumeration import ExactVolumes, exact_rank_deficient, exact_volumes
from mnnjax.landscape.intervals import Estimate, Volumes, clopper_pearson
from mnnjax.landscape.khatri_rao import (
    khatri_rao,
    khatri_rao_gram,
    khatri_rao_matvec,
    khatri_rao_rank,
    khatri_rao_rmatvec,
)
from mnnjax.landscape.membership import region_holds_dlm
from mnnjax.landscape.minima import region_errors, region_residual
from mnnjax.landscape.patterns import activation_pattern, neural_inputs
from mnnjax.landscape.splitting import SplitEstimate, combine, fit_importance, run_splitting, split_volume
from mnnjax.landscape.volume import estimate_expected_volumes, estimate_volumes

__all__ = [
    "Certificate",
    "Estimate",
    "ExactVolumes",
    "SplitEstimate",
    "Volumes",
    "activation_pattern",
    "certifiable",
    "certify",
    "clopper_pearson",
    "combine",
    "construction_error",
    "estimate_expected_volumes",
    "estimate_volumes",
    "exact_rank_deficient",
    "exact_volumes",
    "fit_importance",
    "global_minimum",
    "khatri_rao",
    "khatri_rao_gram",
    "khatri_rao_matvec",
    "khatri_rao_rank",
    "khatri_rao_rmatvec",
    "neural_inputs",
    "region_errors",
    "region_holds_dlm",
    "region_residual",
    "run_splitting",
    "split_volume",
]
