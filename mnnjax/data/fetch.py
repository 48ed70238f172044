"""The process in which TFDS downloads: python -m mnnjax.data.fetch NAME FOLDER. Its standard output is one line that
says what is wrong, or empty. It ends with its standard input, that is, its parent."""

import os
import re
import shutil
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from mnnjax.data.sets import DataSet, by_hand, find
from mnnjax.data.source import one_line
from mnnjax.data.tfds_folder import quieten
from mnnjax.errors import DISK_FULL, UserError, require

# The time that a server has to answer.
PATIENCE_SECONDS = 15


def fetch(data_set: DataSet, folder: Path) -> None:
    """Let TFDS download the set and prepare it in the folder, as array_record files; any failure is a UserError."""
    quieten()
    import requests
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError

    builder = tfds.builder(data_set.tfds_name, data_dir=folder)
    # TFDS itself tries for minutes before it reports that there is no network.
    for host, url in {urlsplit(url).netloc: url for url in builder.url_infos or ()}.items():
        try:
            status = requests.head(url, timeout=PATIENCE_SECONDS, allow_redirects=True).status_code
        except requests.RequestException as error:
            raise UserError(f"cannot reach {host} ({type(error).__name__}); {by_hand(data_set)}") from error
        require(status < 500, f"{host} answers with HTTP code {status}; {by_hand(data_set)}")
    config = tfds.download.DownloadConfig(try_download_gcs=False, force_checksums_validation=True)
    downloads = folder / "downloads"
    try:
        builder.download_and_prepare(download_dir=downloads, download_config=config, file_format="array_record")
        shutil.rmtree(downloads)
    except NonMatchingChecksumError as error:
        raise UserError(f"{_checksum_words(error)}; {by_hand(data_set)}") from error
    except requests.RequestException as error:
        raise UserError(f"the download broke off ({type(error).__name__}); {by_hand(data_set)}") from error
    except Exception as error:  # TFDS passes on what everything below it raises
        if getattr(error, "errno", None) in DISK_FULL or "No space left" in str(error):
            raise UserError("the disk is full; make room, or give another --data-dir") from error
        raise UserError(f"TFDS failed: {type(error).__name__}: {one_line(error)[:300]}; {by_hand(data_set)}") from error


def _checksum_words(error: Exception) -> str:
    url = re.search(r"Artifact (\S+?),", str(error))
    digests = re.findall(r"checksum='(\w+)'", str(error))
    if url is None or len(digests) != 2:
        return f"wrong checksum ({one_line(error)[:300]})"
    return f"wrong checksum for {url[1]}: sha256 {digests[1]}, expected {digests[0]}"


def main(arguments: Sequence[str]) -> int:
    """Fetch the set named first into the folder named second; a UserError goes to standard output as one line, and ends
    the process."""
    answer = os.dup(1)
    os.dup2(2, 1)  # what TFDS prints goes to standard error
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        fetch(find(arguments[0]), Path(arguments[1]))
    except UserError as error:
        os.write(answer, str(error).encode())
        # TFDS's threads may still be downloading, and would be waited for.
        os._exit(2)
    return 0


def _end_with_parent() -> None:
    # Not sys.stdin: Python cannot shut down while another thread reads that.
    while os.read(0, 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
