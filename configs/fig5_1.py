"""Figure 5.1: the training error of networks of width d on N Gaussian points with random labels.

Command:    mnnjax run configs/fig5_1.py [--small]
Reproduces: Figure 5.1 (section 5): mean and standard deviation of the final MCE over 30 repetitions, one and two
            hidden layers, all widths d. The claim: the error is about zero as soon as, approximately, parameters > N.
Expect:     For d >= 20, mean MCE of at most 0.5 % from parameters/N = 0.71 to 0.84 on, and MCE 0 in 2017 of the 2040
            repetitions with parameters >= N; one hidden layer at d^2/N = 0.5: 7.06, 5.26, 4.96, 4.87 % for d = 20, 30,
            40, 50. At d = 10 some repetitions keep an error at any N: 1.5 % on average at d^2/N = 5. Certificates: 720
            of 3900 at a global minimum, all with parameters/N >= 2; 41 sub-optimal ones, all at d = 10; the others
            did not converge. (results/fig5_1)
Time:       74 minutes on two cores of an AMD EPYC that also did other work, with certificates. --small: 25 seconds.
"""

from mnnjax.config import Network, Problem, Study, Train

RATIOS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.5, 2.0, 3.0, 5.0)
study = Study(
    name="fig5_1",
    problem=Problem(d0=(10, 20, 30, 40, 50), d0_d1_over_N=RATIOS),
    network=Network(hidden_layers=(1, 2)),
    train=Train(learning_rate=1e-2, epochs=1000, decay_epochs=1000),
    figure="fig5_1",
)
small = Study(
    name="fig5_1",
    problem=Problem(d0=(5, 10), d0_d1_over_N=(0.4, 0.7, 1.0, 1.5, 3.0)),
    network=Network(hidden_layers=(1, 2)),
    train=Train(learning_rate=1e-2, epochs=150, decay_epochs=150),
    repeats=5,
    figure="fig5_1",
)
