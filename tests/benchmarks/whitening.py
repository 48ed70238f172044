"""Time and memory of whitening large images, and what their coordinates are like.

Command:  .venv/bin/python tests/benchmarks/whitening.py IMAGES.npz [--pixels P] [--kind KIND]
          IMAGES.npz holds `images` (N, height, width, channels), as bytes; --pixels takes the first P of each.
Prints:   seconds of each part and the peak of the process's memory until then: the images, which are not mapped here;
          moments, and eigenvectors or inverse factor, which `fit` contains; the file of the work folder; all
          coordinates in float32, in the 64 blocks in which a data-parallel study places them. Then the largest error of
          the covariance of 500 coordinates, and of 256 images' float32 coordinates against float64.
"""

import argparse
import contextlib
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

import jax
import numpy as np

from mnnjax import jax_setup
from mnnjax.problems import fit_whitening, whitening
from mnnjax.study.workdir.storage import write_atomically
from mnnjax.study.workdir.weights import to_bytes


@contextlib.contextmanager
def timed(part: str):
    began = time.perf_counter(), time.process_time()
    yield
    wall, used = time.perf_counter() - began[0], time.process_time() - began[1]
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9
    print(f"{part:<12} {wall:8.1f} s {used:8.1f} s of cores {peak:7.2f} GB at the peak", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path)
    parser.add_argument("--pixels", type=int)
    parser.add_argument("--kind", choices=whitening.KINDS, default="pca")
    arguments = parser.parse_args()
    jax_setup.use_all_cores()
    print(f"{jax_setup.cores()} cores, load {os.getloadavg()[0]:.1f}")
    with timed("images"), np.load(arguments.images) as file:
        images = file["images"]
        images = images.reshape(len(images), -1)[:, : arguments.pixels]
    N, pixels = images.shape

    for name in ("_moments", "_eigh", "_inverse_factor"):
        setattr(whitening, name, timed(name[1:])(getattr(whitening, name)))
    with timed("fit"):
        found = fit_whitening(images.__getitem__, N, pixels, arguments.kind, jax.local_devices())
    with timed("file"), tempfile.TemporaryDirectory() as folder:
        write_atomically(Path(folder) / "whitening.npz", to_bytes({"mean": found.mean, "transform": found.transform}))
    X = np.empty((N, found.d0), np.float32)
    with timed("coordinates"):
        for rows in np.array_split(np.arange(N), 64):
            X[rows] = found.apply(images[rows], np.float32)

    some = X[:, np.random.default_rng(0).permutation(found.d0)[:500]].astype(np.float64)
    error = np.abs(some.T @ some / N - np.eye(some.shape[1])).max()
    exact = found.apply(images[:256], np.float64)
    off = np.sqrt(((X[:256] - exact) ** 2).mean(axis=0))
    print(f"{N} images of {pixels} pixels, {found.d0} coordinates; their covariance errs by {error:.1e}")
    print(f"float32 against float64, root mean square: {np.median(off):.1e}, in the worst coordinate {off.max():.1e}")


if __name__ == "__main__":
    main()
