"""A bucket for tests, on this machine."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest


@pytest.fixture(scope="session")
def bucket() -> Iterator[str]:
    """gs://bucket, for this process and those that it starts: gcsfs and TensorStore both find the stand-in."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    variables = {
        "STORAGE_EMULATOR_HOST": address,
        "TENSORSTORE_GCS_HTTP_URL": address,
        "FSSPEC_GCS_TOKEN": "anon",
        # It would ask Google what kind of bucket this is.
        "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
    }
    # fsspec has read its environment already.
    fsspec.config.conf.setdefault("gcs", {})["token"] = "anon"
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    server = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("gcs_stand_in.py"), str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(300):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert server.poll() is None, "the stand-in for a bucket did not start"
                time.sleep(0.1)
        yield "gs://bucket"
    finally:
        server.kill()
        server.wait()
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@pytest.fixture
def remote(bucket, tmp_path) -> str:
    """The address of a folder in the bucket that is not there yet."""
    return f"{bucket}/{tmp_path.name}"
