"""Training or measuring one cell.

train_cell.py, volume_cell.py      one cell from its latest valid checkpoint to its rows: begin here
chunks.py                          the loop of both: a chunk, a checkpoint, a look at stop requests
context.py                         what a cell runs in: work folder, images, progress, stop requests
cell_training.py                   what the two ways of training have in common:
seed_parallel.py, data_parallel.py devices share the repetitions, or the points
certify_cell.py                    certificates of a cell's networks
volume_results.py                  the rows of a volume cell
images.py                          images and their whitening
progress.py                        a bar or lines for people
"""
