"""The files of a study.

workdir.py         the work folder: finished cells, results.csv, the log metrics.jsonl
study_file.py      config.json: the study that the folder belongs to
results_table.py   the columns of results.csv
cell_file.py       whether the file of a cell's rows is undamaged
weights.py         trained weights as bytes
checkpoint.py      checkpoints of the cell in training: here they are written and read
lock.py            one process at a time: a file lock, or a lease in a bucket
storage.py         all that differs between a disk and a bucket
"""
