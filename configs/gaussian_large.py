"""Gaussian points with random labels in the shape of Table 1's ImageNet: N = 1 280 000, d0 = 12288, 105 ReLUs.

Command:    mnnjax run configs/gaussian_large.py [--small]
            on a pod slice or under srun the same, once per machine; see launch/jobset_large.yaml,
            slurm_multihost.sbatch and tpu_queued.sh
Reproduces: the size of Table 1's last row (section 5), 1.008 parameters per point, on Assumption 1's Gaussian inputs.
Expect:     not run at full size. --small, with as many parameters per point: MCE 0, MSE 0.022.
Memory:     X takes 31.5 GB in bfloat16 (63 GB with --train.rows_precision same), which the devices share. By
            --dry-run, each of 8 devices needs 5.9 GB in total, each of 16 3.9 GB, each of 64 2.5 GB. A run that does
            not fit is refused before it starts, with the number of devices that are enough.
Time:       --small 25 seconds on two cores of an AMD EPYC. Full size: unknown; 1e13 operations per epoch,
            five hours by --dry-run on two such cores with enough memory.
"""

import dataclasses

from mnnjax.config import Network, Problem, Study, Train

study = Study(
    name="gaussian_large",
    problem=Problem(inputs="gaussian", labels="random", d0=(12288,), N=(1_280_000,), data_sets=1),
    network=Network(d1=(105,)),
    train=Train(
        learning_rate=3e-3,
        batch_size=8192,
        epochs=50,
        decay_epochs=150,
        decay_to=1e-2,
        chunk_epochs=5,
        checkpoint_chunks=1,
        parallel="data",
        rows_precision="bfloat16",
    ),
    repeats=1,
    figure="table1",
)
small = dataclasses.replace(
    study,
    problem=dataclasses.replace(study.problem, d0=(1260,), N=(32_500,)),
    network=Network(d1=(26,)),
    train=dataclasses.replace(study.train, batch_size=1024, decay_epochs=100),
)
