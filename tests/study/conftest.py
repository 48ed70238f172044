"""A bucket for tests, on this machine."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from tests.started import free_ports, listens, wait_for


@pytest.fixture(scope="session")
def bucket() -> Iterator[str]:
    """gs://bucket, for this process and those that it starts: gcsfs and TensorStore both find the stand-in."""
    (port,) = free_ports(1)
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
        wait_for(lambda: listens(port) or server.poll() is not None)
        assert server.poll() is None, "the stand-in for a bucket did not start"
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
