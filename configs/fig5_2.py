"""Figure 5.2: do runs end at differentiable local minima? Smallest neural input and final MSE against the width d."""

from mnnjax.config import Problem, Study, Train

study = Study(
    name="fig5_2",
    problem=Problem(d0=(10, 20, 30, 40, 50, 60), d0_d1_over_N=(5.0,)),
    train=Train(learning_rate=1e-2, epochs=1000, decay_epochs=1000, precision="float64"),
    figure="fig5_2",
)
small = Study(
    name="fig5_2",
    problem=Problem(d0=(6, 10), d0_d1_over_N=(5.0,)),
    train=Train(learning_rate=1e-2, epochs=200, decay_epochs=200, precision="float64"),
    repeats=5,
    figure="fig5_2",
)
