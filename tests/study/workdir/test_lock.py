"""The lock of a folder on a disk, and the lease of one in a bucket, on a store in memory."""

import errno
import os
import threading
import time
from pathlib import Path

import pytest
import tensorstore

from mnnjax.config import UserError
from mnnjax.study.workdir import lock
from mnnjax.study.workdir.lock import StudyError


@pytest.fixture
def store():
    return tensorstore.KvStore.open("memory://folder/").result()


def hold(store, renew=0.05, expire=0.5, tell=lambda line: None, also=lambda: None):
    return lock.hold_lease(lambda: store, "gs://b/run", tell, also, renew, expire)


def content(store) -> str | None:
    found = store.read("lock").result()
    return found.value.decode() if found.state == "value" else None


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOENT, errno.ENAMETOOLONG, errno.ENOTDIR])
def test_a_folder_that_cannot_be_made_is_the_users_to_choose(tmp_path, monkeypatch, number):
    def refuse(self, *_, **__):
        raise OSError(number, os.strerror(number), str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    words = rf"^{tmp_path}/w cannot be used as a work folder \({os.strerror(number)}\); choose another$"
    with pytest.raises(UserError, match=words), lock.hold_file(tmp_path / "w"):
        pass


def test_a_full_disk_is_no_users_error(tmp_path, monkeypatch):
    def refuse(self, *_, **__):
        raise OSError(errno.ENOSPC, "full", str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(OSError, match="full"), lock.hold_file(tmp_path / "w"):
        pass


def test_a_lease_is_renewed_and_given_back(store):
    renewals = []
    with hold(store, also=lambda: renewals.append(content(store))) as check:
        first = content(store)
        assert first.startswith(f"process {os.getpid()} on ")
        while len(renewals) < 3:
            time.sleep(0.01)
        assert len({first, *renewals}) == 4
        check()
    assert content(store) is None


def test_a_lease_that_is_renewed_is_refused_soon(store):
    told = []
    began = time.monotonic()
    refused = pytest.raises(UserError, match=r"another process .* is at work in gs://b/run; wait for it")
    with hold(store), refused, hold(store, expire=60.0, tell=told.append):
        pass
    assert time.monotonic() - began < 30
    assert [line.partition(";")[2] for line in told] == [" waiting up to 60 s to see whether that is at work"]


def test_a_lease_that_nobody_renews_is_taken_over_when_it_expires(store):
    store.write("lock", b"process 7 on elsewhere\n").result()
    began = time.monotonic()
    with hold(store, expire=0.3):
        assert time.monotonic() - began >= 0.3
        assert content(store).startswith(f"process {os.getpid()} on ")


def test_a_lease_that_is_given_back_meanwhile_is_free_at_once(store):
    store.write("lock", b"process 7 on elsewhere\n").result()
    threading.Timer(0.2, lambda: store.write("lock", None).result()).start()
    began = time.monotonic()
    with hold(store, expire=60.0):
        assert time.monotonic() - began < 30


def test_of_two_that_find_it_expired_one_gets_it(store):
    store.write("lock", b"process 7 on elsewhere\n").result()
    outcomes, both = [], threading.Barrier(2)

    def try_it():
        try:
            with hold(store, expire=0.2):
                outcomes.append("held")
                both.wait(10)
        except UserError:
            outcomes.append("refused")
            both.wait(10)

    threads = [threading.Thread(target=try_it) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["held", "refused"]


def test_whoever_loses_the_lease_is_told_and_leaves_it_to_the_other(store):
    """As after a laptop that slept."""
    with hold(store) as check:
        store.write("lock", b"process 7 on elsewhere\nother\n0\n").result()
        time.sleep(0.5)
        with pytest.raises(StudyError, match="another process took over gs://b/run"):
            check()
    assert content(store) == "process 7 on elsewhere\nother\n0\n"
