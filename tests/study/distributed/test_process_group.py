"""Which process of a run this one is: as the user says, or Slurm, or a TPU slice."""

import pytest

from mnnjax.errors import UserError
from mnnjax.study.distributed.process_group import Group, find_group


def test_a_process_is_alone_unless_it_is_told_or_started_otherwise():
    assert find_group(None, None, None, {}, tpu=False) is None
    assert find_group("10.0.0.1:8476", 4, 3, {}, tpu=False) == Group("10.0.0.1:8476", 4, 3)
    assert find_group(None, None, None, {}, tpu=True) == Group()
    # A job's script runs once, whatever srun will start in it; so does a step of one task, such as an array's.
    job = {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "2", "SLURM_PROCID": "0"}
    assert find_group(None, None, None, job, tpu=False) is None
    assert find_group(None, None, None, job | {"SLURM_STEP_NUM_TASKS": "1"}, tpu=False) is None
    step = {"SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "1", "SLURM_STEP_TASKS_PER_NODE": "1(x2)"}
    assert find_group(None, None, None, job | step, tpu=False) == Group(None, 2, 1)
    assert find_group(None, None, None, job | step | {"SLURM_GPUS_ON_NODE": "4"}, False).local_devices == (0, 1, 2, 3)
    many = step | {"SLURM_GPUS_ON_NODE": "4", "SLURM_STEP_TASKS_PER_NODE": "4(x2)"}
    assert find_group(None, None, None, job | many, tpu=False).local_devices is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("10.0.0.1:8476", None, None), "go together"),
        ((None, 2, 0), "go together"),
        (("10.0.0.1", 2, 0), "HOST:PORT"),
        (("10.0.0.1:99999", 2, 0), "HOST:PORT"),
        (("10.0.0.1:8476", 0, 0), "--num-processes: 0"),
        (("10.0.0.1:8476", 2, 2), "--process-id: 2 is not one of 2"),
    ],
)
def test_half_of_what_processes_need_is_the_users_error(given, message):
    with pytest.raises(UserError, match=message):
        find_group(*given, {}, tpu=False)
