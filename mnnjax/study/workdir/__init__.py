"""The files of a study: results, storage, lock, checkpoints."""
