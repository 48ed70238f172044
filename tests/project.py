"""What the project consists of."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
# By name, since a user may keep configs beside them. The tour is a script of its own: tests/test_tour.py.
_NAMES = ("angular_volume", "basins", "capacity", "cifar10", "digits", "fig5_1", "fig5_2", "full_rank")
_NAMES += ("gaussian_large", "imagenet64", "kinks", "mnist", "mnist_certified", "quickstart")
# Its data have a name of the user's, so that nothing is known of them before they are imported.
TINY_IMAGENET = ROOT / "configs/tiny_imagenet.py"
CONFIGS = [ROOT / f"configs/{name}.py" for name in _NAMES]
