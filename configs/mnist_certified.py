"""A proven global minimum on 20 000 real images of MNIST, 0-4 against 5-9, whitened, with 89 ReLUs: d0 d1 = 3.2 N."""

from mnnjax.config import Network, Problem, Study, Train

study = Study(
    name="mnist_certified",
    problem=Problem(inputs="mnist", labels="classes", whitening="pca", N=(20_000,), data_sets=1),
    network=Network(d1=(89,)),
    train=Train(
        optimizer="levenberg_marquardt",
        precision="float64",
        epochs=100,
        decay_epochs=0,
        chunk_epochs=1,
        checkpoint_chunks=10,
    ),
    repeats=1,
)
small = Study(
    name="mnist_certified",
    problem=Problem(inputs="mnist", labels="classes", whitening="pca", N=(500,), data_sets=1, whitening_images=200),
    network=Network(d1=(8,)),
    train=Train(
        optimizer="levenberg_marquardt",
        precision="float64",
        epochs=100,
        decay_epochs=0,
        optimizer_options=(("gram_rows", 1),),
    ),
    repeats=2,
)
