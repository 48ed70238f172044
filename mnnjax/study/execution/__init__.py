"""Training or measuring one cell.

train_cell.py, volume_cell.py      one cell from its latest valid checkpoint to its rows: begin here
chunks.py                          the loop of both: a chunk, a checkpoint, a look at stop requests
seed_parallel.py, data_parallel.py two ways of training: devices share the repetitions, or the points
continuing.py                      what is left of a cell whose study has grown
volume_results.py                  the rows of a volume cell
certify_cell.py                    certificates of a cell's networks
spectra.py                         smallest singular values and eigenvalues before and after training
descents.py, descent_workers.py    from where training ended down to a minimum, in processes (mnnjax.workers)
images.py                          images and their whitening
progress.py                        a bar or lines for people
"""
