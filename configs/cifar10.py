"""Table 1, CIFAR-10: classes 0-4 against 5-9, all 50 000 training images, whitened, 16 units; and the test error.

Command:    mnnjax data prepare cifar10, or mnnjax data import cifar10 --from DIR
            mnnjax run configs/cifar10.py [--small]
            Without the data, on other data of exactly its shape (give each a --workdir):
            mnnjax run configs/cifar10.py --problem.inputs patches32 --problem.labels random
            mnnjax run configs/cifar10.py --problem.inputs gaussian --problem.d0 3072 --problem.N 50000
                --problem.labels random
Reproduces: Table 1 (section 5): MCE 0 % with 0.983 parameters per point.
Expect:     MCE 0 on all 50 000 images in 3 of 3 repetitions, MSE 0.024, test error 45 to 46 %. (results/cifar10)
Time:       15 minutes on two cores of an AMD EPYC that also did much other work. --small: 15 seconds.
"""

from mnnjax.config import Network, Problem, Study, Train

# What keeps the last images wrong, by runs with seeds 0 to 2:
# - Small norm. Whitened images have norms of 8 to 190, and a residual's rate is proportional to |x|^2. With equal
#   weights the last wrong images are among the smallest; with weights of 1 / |x|^2 none of these is wrong.
# - Signs of z. Seed 1 drew 12 positive and 4 negative ones, training turned none, and 18 images stayed wrong at an MSE
#   of 0.044, where 8 of each reach 0.013. So they alternate.
# - Inactive in all 16 units. These are then the only wrong images: 1, 3 and 1 with rho = 0.1, where their gradient is
#   a tenth of another one. With rho = 0.3 there are none, although the MSE is larger, 0.024.
study = Study(
    name="cifar10",
    problem=Problem(inputs="cifar10", labels="classes", data_sets=1),
    network=Network(d1=(16,), bias=True, rho=0.3, init="he_balanced"),
    train=Train(
        learning_rate=3e-3,
        batch_size=1024,
        epochs=50,
        decay_epochs=550,
        decay_to=1e-2,
        chunk_epochs=5,
        parallel="data",
        point_weights="inverse_square_norm",
    ),
    repeats=3,
    figure="table1",
)
small = Study(
    name="cifar10",
    problem=Problem(inputs="cifar10", labels="classes", data_sets=1, N=(512,), whitening_images=200),
    network=Network(d1=(3,), bias=True),
    train=Train(learning_rate=3e-3, batch_size=128, epochs=20, decay_epochs=20, chunk_epochs=10, parallel="data"),
    repeats=2,
    figure="table1",
)
