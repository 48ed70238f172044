"""config.json: the study that a work folder belongs to."""

import json

from mnnjax.config import Study, UserError, from_dict
from mnnjax.study.plan.growth import obstacle
from mnnjax.study.plan.shard import Shard
from mnnjax.study.workdir import storage
from mnnjax.study.workdir.storage import AnyPath

CONFIG = "config.json"


def read_study(folder: AnyPath) -> Study:
    """The study that a folder belongs to; raises UserError where there is none, or config.json cannot be read."""
    file = folder / CONFIG
    try:
        with storage.clear_errors(folder):
            content = file.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(f"{folder} {_without_study(folder)}") from error
    hint = "restore it from a copy, or choose another folder"
    try:
        return from_dict(Study, json.loads(content))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{file} is damaged ({error if content else 'it is empty'}); {hint}") from error
    except UserError as error:
        raise UserError(f"{file} holds no study of this version of mnnjax ({error}); {hint}") from error


def require_growable(folder: AnyPath, study: Study, hint: str) -> None:
    """A folder belongs to the study, to one that gives the same results, or to a smaller one that can grow into it
    (plan/growth.py). Raises UserError where it belongs to another one; names the first field that stands in the way,
    and ends with `hint` where that field never changes."""
    if why := obstacle(read_study(folder), study, hint):
        raise UserError(f"{folder} belongs to another study {why}")


def _without_study(folder: AnyPath) -> str:
    """Why a folder without config.json holds no study, and what to do."""
    names = storage.names(folder)
    shards = [name for name in names if Shard.of_folder(name) and (folder / name / CONFIG).exists()]
    if shards:
        return f"holds shards, and not the config.json of their study; copy that of {shards[0]} there"
    why = "no config.json" if names else "it is empty"
    if not folder.exists():
        why = "it does not exist"
    elif not folder.is_dir():
        why = "it is a file"
    return f"holds no study ({why}); give a folder that `mnnjax run` made"
