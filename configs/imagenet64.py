"""Table 1, ImageNet 64x64: classes 0-499 against 500-999, 1 280 000 images, whitened, 105 ReLUs; and the test error.

Command:    mnnjax data prepare imagenet_resized/64x64, or mnnjax data import imagenet64 --from DIR
            mnnjax run configs/imagenet64.py [--small]
            Without the data, on other data of exactly its shape (give each a --workdir):
            mnnjax run configs/imagenet64.py --problem.inputs patches64 --problem.labels random
            mnnjax run configs/imagenet64.py --problem.inputs gaussian --problem.d0 12288 --problem.N 1280000
                --problem.labels random
Reproduces: Table 1 (section 5): MCE 0.1 % with 1.008 parameters per point.
Expect:     not run at full size: the whitened points take 63 GB of device memory, which the devices share (half of it
            with --train.rows_precision bfloat16).
Time:       full size: unknown. --small on patches: 20 seconds on two cores of an AMD EPYC.
"""

from mnnjax.config import Network, Problem, Study, Train

study = Study(
    name="imagenet64",
    problem=Problem(inputs="imagenet64", labels="classes", data_sets=1, N=(1_280_000,)),
    network=Network(d1=(105,), bias=True),
    train=Train(
        learning_rate=3e-3, batch_size=8192, epochs=50, decay_epochs=150, decay_to=1e-2, chunk_epochs=5, parallel="data"
    ),
    repeats=1,
    figure="table1",
)
small = Study(
    name="imagenet64",
    problem=Problem(inputs="imagenet64", labels="classes", data_sets=1, N=(512,), whitening_images=200),
    network=Network(d1=(3,), bias=True),
    train=Train(learning_rate=3e-3, batch_size=128, epochs=20, decay_epochs=20, chunk_epochs=10, parallel="data"),
    repeats=2,
    figure="table1",
)
