"""TFDS: folders that it has prepared, its mocks, and `prepare`, whose downloads are made to fail."""

import contextlib
import http.server
import importlib.util
import shutil
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from mnnjax.data import DATA_SETS, import_data, open_stored, prepare, tfds_folder
from mnnjax.data.writing import write
from mnnjax.errors import UserError
from tests.small_sets import assert_holds, draw, names_in, rows_of, write_cifar_binary, write_tfds

pytestmark = [
    pytest.mark.skipif(
        any(importlib.util.find_spec(m) is None for m in ("tensorflow_datasets", "importlib_resources")),
        reason="TFDS is not installed; pip install -e '.[data]'",
    ),
    # TFDS and what it imports warn of each other.
    pytest.mark.filterwarnings("ignore"),
]
needs_tensorflow = pytest.mark.skipif(
    importlib.util.find_spec("tensorflow") is None, reason="TensorFlow is not installed; pip install -e '.[data]'"
)


def assert_same_images(stored, sets) -> None:
    """The same images with the same classes, in whatever order."""
    for split, (X, y) in sets.items():
        assert rows_of(stored.images(split), stored.labels(split)) == rows_of(X, y)


@pytest.mark.parametrize("name", ["mnist", "cifar10", "imagenet64"])
def test_a_folder_that_tfds_prepared(tmp_path, name):
    """In the order that TFDS has shuffled them into; the images themselves are those of the other formats."""
    sets = draw(name, train=30)
    home = write_tfds(tmp_path / "tfds", name, sets)
    stored = import_data(name, home, tmp_path / "a")
    assert_same_images(stored, sets)
    assert stored.source == f"TFDS {DATA_SETS[name].tfds_name} 1.2.3"
    for i, folder in enumerate((home.parent, tmp_path / "tfds")):
        assert import_data(name, folder, tmp_path / str(i)).digest == stored.digest


def test_published_files_come_before_tfds(tmp_path):
    write_tfds(tmp_path / "in", "cifar10", draw("cifar10", seed=1))
    sets = draw("cifar10", seed=2)
    assert_holds(import_data("cifar10", write_cifar_binary(tmp_path / "in", sets), tmp_path / "kept"), sets)


@pytest.mark.slow
@needs_tensorflow
def test_a_tfrecord_folder_is_read_with_tensorflow_in_the_same_order(tmp_path):
    sets = draw("mnist", train=20)
    light = import_data("mnist", write_tfds(tmp_path / "light", "mnist", sets), tmp_path / "a")
    folder = write_tfds(tmp_path / "heavy", "mnist", sets, "tfrecord")
    stored = import_data("mnist", folder, tmp_path / "b")
    assert_same_images(stored, sets)
    assert stored.digest == light.digest


@pytest.mark.parametrize("name", list(DATA_SETS))
def test_tfds_mocks(tmp_path, name):
    import tensorflow_datasets as tfds

    data_set = DATA_SETS[name]
    with tfds.testing.mock_data(num_examples=7):
        builder = tfds.builder(data_set.tfds_name)
        examples = list(builder.as_data_source(split="train"))
        write(data_set, tfds_folder.from_builder(data_set, builder), tmp_path, print)
    stored = open_stored(name, tmp_path, verify=True)
    assert stored.counts == {"train": 7, "test": 7}
    np.testing.assert_array_equal(stored.images("train")[3], examples[3]["image"].reshape(-1))
    np.testing.assert_array_equal(stored.labels("test"), [example["label"] for example in examples])


def test_wrong_folders_are_one_line(tmp_path):
    home = write_tfds(tmp_path / "tfds", "mnist", draw("mnist"))
    with pytest.raises(UserError, match="holds mnist and not fashion_mnist"):
        import_data("fashion_mnist", home, tmp_path / "kept")
    (shard,) = home.glob("*test.array_record*")
    content = shard.read_bytes()
    for spoil in (shard.unlink, lambda: shard.write_bytes(content[:-100]), lambda: shard.write_bytes(b"")):
        spoil()
        with pytest.raises(UserError, match="TFDS cannot read ") as error:
            import_data("mnist", home, tmp_path / "kept")
        assert "\n" not in str(error.value)
    (home / "dataset_info.json").write_text("{")
    with pytest.raises(UserError, match=r"dataset_info\.json is damaged"):
        import_data("mnist", home, tmp_path / "kept")
    assert not names_in(tmp_path / "kept")


def test_without_the_extra_its_name_is_told(tmp_path, monkeypatch):
    home = write_tfds(tmp_path / "tfds", "mnist", draw("mnist"))
    found = importlib.util.find_spec
    for missing in ("tensorflow", "tensorflow_datasets"):
        monkeypatch.setattr("importlib.util.find_spec", lambda name, m=missing: None if name == m else found(name))
        words = rf"this needs {missing}, which is not installed; run pip install -e '\.\[data\]'"
        with pytest.raises(UserError, match=words):
            prepare("mnist", tmp_path / "kept")
        if missing == "tensorflow":
            import_data("mnist", home, tmp_path / "light")
        else:
            with pytest.raises(UserError, match=words):
                import_data("mnist", home, tmp_path / "kept")
    assert not names_in(tmp_path / "kept")


def test_prepare_keeps_the_arrays_and_not_what_tfds_wrote(tmp_path, monkeypatch):
    sets = draw("cifar10")
    monkeypatch.setattr(
        "mnnjax.data.preparing._fetch", lambda data_set, folder: write_tfds(folder, data_set.name, sets)
    )
    monkeypatch.setattr("mnnjax.data.preparing.NEEDED", ("tensorflow_datasets",))
    said = []
    assert_same_images(prepare("cifar10", tmp_path, say=said.append), sets)
    assert names_in(tmp_path) == {"cifar10"}
    assert "note: 12 train images, 50000 expected; what is there is kept" in said
    prepare("cifar10", tmp_path, say=said.append)
    assert "already in" in said[-1]
    import_data("cifar10", write_cifar_binary(tmp_path / "in", sets), tmp_path, force=True)
    assert_holds(open_stored("cifar10", tmp_path), sets)


def test_prepare_asks_for_room_before_it_downloads(tmp_path, monkeypatch):
    monkeypatch.setattr("mnnjax.data.preparing.NEEDED", ("tensorflow_datasets",))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10**9))
    with pytest.raises(UserError, match=r"imagenet64 needs 46\.8 GB in .*, 1.0 GB are free"):
        prepare("imagenet64", tmp_path)
    assert not names_in(tmp_path)


@contextlib.contextmanager
def proxy(get):
    """An HTTP proxy that answers every GET by `get(handler)`; gives its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(200)
            self.end_headers()

        def do_GET(self):
            get(self)

        def log_message(self, *_):
            pass

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, *_):
            pass  # a client that has enough closes its end

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def answer(status: int, announced: int):
    def get(handler):
        handler.send_response(status)
        handler.send_header("Content-Length", str(announced))
        handler.end_headers()
        handler.wfile.write(b"no images")

    return get


# How the proxy answers (None: there is none), and what is said.
DOWNLOADS = {
    "no network": (None, r"cannot reach fashion-mnist\S+ \(ProxyError\); run it again, or fetch the files elsewhere"),
    "wrong checksum": (answer(200, 9), r"wrong checksum for http://\S+gz: sha256 \w{64}, expected \w{64}; run it"),
    "truncated": (answer(200, 9000), r"the download broke off \(\w+\); run it again"),
    "not found": (answer(404, 9), r"TFDS failed: DownloadError: .* HTTP code: 404"),
}


@needs_tensorflow
@pytest.mark.parametrize(
    "case", ["no network", *(pytest.param(c, marks=pytest.mark.slow) for c in list(DOWNLOADS)[1:])]
)
def test_a_failed_download_is_one_line_and_nothing_is_left(tmp_path, monkeypatch, capfd, case):
    get, words = DOWNLOADS[case]
    for name in ("NO_PROXY", "no_proxy", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    with contextlib.nullcontext("http://127.0.0.1:9") if get is None else proxy(get) as address:
        monkeypatch.setenv("HTTP_PROXY", address)
        with pytest.raises(UserError, match=words) as error:
            prepare("fashion_mnist", tmp_path)
    assert "\n" not in str(error.value)
    assert not names_in(tmp_path)
    output = capfd.readouterr()
    assert output.out.count("\n") == 1
    assert output.err == ""
