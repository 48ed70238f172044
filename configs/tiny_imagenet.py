"""Table 1, a part of ImageNet 64x64: 36 800 images of 200 classes, 0-99 against 100-199, whitened; 3, 4 and 6 units.

Command:    mnnjax data import tiny_imagenet --from FILE.npz    (images uint8 (N, 64, 64, 3) and labels)
            mnnjax run configs/tiny_imagenet.py [--small]
            Random labels: the same with --problem.labels random --workdir DIR
Reproduces: Table 1 (section 5): MCE 0.1 % of ImageNet with 1.008 parameters per point. Here 1.002, 1.336 and 2.004.
Expect:     2 repetitions: 1 and 3 of 36 800 images wrong with 3 units, MSE 0.02; none with 4 units, MSE 0.001;
            none with 6 units, MSE 1e-9. The error is below 0.1 % from about epoch 95, 55 and 50 on.
            (results/tiny_imagenet)
Time:       17 minutes on two cores of an Intel Xeon (AVX-512, AMX) beside other work, 1.5 of them whitening. 5 GB.
            --small: 15 seconds.
"""

from mnnjax.config import Network, Problem, Study, Train

# Whitened by Cholesky's factor: eigenvectors of 12 288 pixels take longer than the training. CIFAR-10 trains alike.
PROBLEM = Problem(inputs="tiny_imagenet", labels="classes", whitening="cholesky", data_sets=1)
study = Study(
    name="tiny_imagenet",
    problem=PROBLEM,
    network=Network(d1=(3, 4, 6), bias=True, rho=0.1, init="he_balanced"),
    train=Train(
        learning_rate=3e-3,
        batch_size=1024,
        epochs=50,
        decay_epochs=150,
        decay_to=1e-2,
        chunk_epochs=5,
        parallel="data",
        point_weights=0.75,
    ),
    repeats=2,
    figure="table1",
)
small = Study(
    name="tiny_imagenet",
    problem=Problem(inputs="tiny_imagenet", labels="classes", data_sets=1, N=(512,), whitening_images=200),
    network=Network(d1=(3,), bias=True),
    train=Train(learning_rate=3e-3, batch_size=128, epochs=20, decay_epochs=20, chunk_epochs=10, parallel="data"),
    repeats=2,
    figure="table1",
)
