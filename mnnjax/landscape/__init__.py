"""What is true at a point or in a region of weight space, without training."""

from mnnjax.landscape.certificate import Certificate, certify, certify_batch
from mnnjax.landscape.construct import construction_error, global_minimum
from mnnjax.landscape.khatri_rao import (
    khatri_rao,
    khatri_rao_gram,
    khatri_rao_matvec,
    khatri_rao_rank,
    khatri_rao_rmatvec,
)
from mnnjax.landscape.minima import region_errors, region_residual
from mnnjax.landscape.patterns import activation_pattern, neural_inputs

__all__ = [
    "Certificate",
    "activation_pattern",
    "certify",
    "certify_batch",
    "construction_error",
    "global_minimum",
    "khatri_rao",
    "khatri_rao_gram",
    "khatri_rao_matvec",
    "khatri_rao_rank",
    "khatri_rao_rmatvec",
    "neural_inputs",
    "region_errors",
    "region_residual",
]
