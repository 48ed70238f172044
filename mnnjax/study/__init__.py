"""How a study runs: plan, runner, checkpoints, results."""
