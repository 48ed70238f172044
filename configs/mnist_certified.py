"""A proven global minimum on 20 000 real images: MNIST, digits 0-4 against 5-9, whitened, 89 ReLUs, d0 d1 = 3.2 N.

Command:    mnnjax data prepare mnist, or mnnjax data import mnist --from DIR
            mnnjax run configs/mnist_certified.py [--small]
            CIFAR-10, d0 d1 = 3.2 N too: the same with --problem.inputs cifar10 --network.d1 21 --workdir DIR
Reproduces: no figure. It shows on real images what the paper expects where d0 d1 is well above N: a global minimum.
Expect:     MCE 0 after 6 steps of Levenberg-Marquardt; MSE 3.6e-30, which is rounding, after 20, each by up to 200
            steps of conjugate gradients. Verdict global_minimum: rank(A o X) = 20 000, smallest neural input 6.4e-8,
            margin 6.2e-8 after all error bounds. Test error 13.5 %.
            CIFAR-10: MCE 0 after 8 steps, MSE 7.9e-30 after 15; global_minimum too, rank 20 000, margin 7.1e-7; test
            error 45.8 %. (results/cifar10_certified)
Time:       MNIST: 29 minutes of training and 9 of certificate on two cores of an AMD EPYC that also did much other
            work: 800 seconds of one core in total, 4.5 GB. CIFAR-10: 5 minutes of training and 2.5 of certificate on
            two cores of an Intel Xeon (AVX-512, AMX), 5.4 GB. --small: 10 seconds.
"""

import dataclasses

from mnnjax.config import Network, Problem, Study, Train

# In float64 to rounding: with that many points the system of a step is solved by conjugate gradients.
study = Study(
    name="mnist_certified",
    problem=Problem(inputs="mnist", labels="classes", N=(20_000,), data_sets=1),
    network=Network(d1=(89,)),
    train=Train(optimizer="levenberg_marquardt", precision="float64", epochs=100, decay_epochs=0, chunk_epochs=1),
    repeats=1,
)
small = dataclasses.replace(
    study,
    problem=dataclasses.replace(study.problem, N=(200,), whitening_images=200),
    network=Network(d1=(4,)),
    repeats=2,
)
