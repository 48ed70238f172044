"""`mnnjax certify`: networks in files as users of PyTorch write them."""

import json

import numpy as np
import pytest

from mnnjax import cli
from mnnjax.landscape import certify
from mnnjax.landscape.certificates import cost
from mnnjax.landscape.descent import cost as descent_cost

D0, D1, N = 6, 5, 24


def network(bias=False):
    """A network whose labels are its outputs, except that W is off by 3e-3."""
    rng = np.random.default_rng(0)
    W, z, X = rng.normal(size=(D1, D0)), rng.normal(size=D1), rng.normal(size=(N, D0))
    b, c = (rng.normal(size=D1), 0.3) if bias else (np.zeros(D1), 0.0)
    y = np.maximum(X @ W.T + b, 0) @ z + c
    arrays = {"W": W * (1 + 3e-3 * rng.normal(size=W.shape)), "z": z, "X": X, "y": y}
    return arrays | ({"b": b, "c": np.array(c)} if bias else {})


def far_away():
    return network() | {"y": np.random.default_rng(1).choice([-1.0, 1.0], N)}


def torch_shapes(arrays):
    arrays = {name: values.astype(np.float32) for name, values in arrays.items()}
    return arrays | {"z": arrays["z"][None], "y": arrays["y"][:, None], "c": arrays["c"][None]}


@pytest.fixture
def run(tmp_path, capsys, monkeypatch):
    """run(arrays, *arguments) -> exit code, standard output and error."""
    monkeypatch.chdir(tmp_path)

    def run(arrays, *arguments):
        np.savez("mine.npz", **arrays)
        code = cli.main(["certify", "mine.npz", *arguments])
        return code, *capsys.readouterr()

    return run


def test_the_certificate_is_that_of_the_library(run):
    arrays = far_away()
    code, text, _ = run(arrays | {"rho": 0.1, "threshold": 0.2}, "--json")
    assert code == 0
    found = json.loads(text)
    expected = certify(*(arrays[name] for name in "WzXy"), 0.1, threshold=0.2)
    assert (found["N"], found["d0"], found["d1"], found["rho"]) == (N, D0, D1, 0.1)
    assert found["certificate"]["verdict"] == expected.verdict
    for name in ("mse", "mce", "rank", "grad_norm", "min_abs_neural_input"):
        assert found["certificate"][name] == getattr(expected, name)
    # What is asked for on the command line goes before what the file says.
    assert json.loads(run(arrays | {"rho": 0.1}, "--rho", "0", "--json")[1])["rho"] == 0


@pytest.mark.parametrize(
    ("own", "asked", "told"), [(0.0, "0.3", True), (0.3, "0.3", False), (np.float32(0.3), "0.3", False)]
)
def test_a_rho_that_is_not_the_files_is_used_and_told(run, own, asked, told):
    arrays = far_away() | {"rho": np.asarray(own)}
    code, text, said = run(arrays, "--rho", asked, "--json")
    found = json.loads(text)
    assert (code, found["rho"]) == (0, 0.3)
    assert found["certificate"]["mse"] == certify(*(arrays[name] for name in "WzXy"), 0.3).mse
    line = "mine.npz says rho = 0; rho = 0.3 is used, which --rho gives"
    assert found["warnings"] == [line] * told
    assert said == f"mnnjax: warning: {line}\n" * told


@pytest.mark.parametrize(
    ("labels", "count"), [(np.arange(N) % 10, 10), (np.linspace(0, 1, N), N), (np.arange(N) % 2, 2), (np.ones(N), 1)]
)
def test_labels_that_are_not_two_values_are_told_with_what_still_holds(run, labels, count):
    code, text, said = run(network() | {"y": labels.astype(float)[:, None], "rho": 0.0})
    assert code == 0
    assert "verdict" in text
    line = f"mnnjax: warning: mine.npz: y has {count} values; the MCE and the threshold are for labels of two values"
    assert (line in said) == (count > 2)
    assert said.count("\n") == (count > 2)


def test_numbers_that_json_has_not_are_null(run):
    """Two points on which the neuron is zero, dependent but for rounding: nothing is proven, and there is no margin."""
    X = np.array([[1.0, 0, 0], [1, 1e-17, 0]])
    arrays = {"W": np.eye(3)[2:], "z": np.ones(1), "X": X, "y": np.ones(2), "rho": 0.0}

    def refuse(name):
        raise AssertionError(name)

    found = json.loads(run(arrays, "--json")[1], parse_constant=refuse)
    assert found["certificate"]["verdict"] == "undecided"
    assert found["certificate"]["margin"] is None


def test_a_point_that_is_not_converged_gets_advice(run):
    code, text, _ = run(far_away(), "--rho", "0")
    assert code == 0
    assert "not_converged" in text
    for words in ("N = 24, d0 = 6, d1 = 5", "MSE", "MCE", "rank", "gradient norm", "margin", "distance"):
        assert words in text
    assert "--polish OUT.npz if a smooth minimum is near, else --descend OUT.npz" in text.splitlines()[-1]
    assert "layout of W" in text.splitlines()[-1]


def test_polishing_writes_the_network_that_it_certifies_in_the_shapes_of_the_file(run):
    given = torch_shapes(network(bias=True))
    code, text, _ = run(given, "--rho", "0", "--polish", "out.npz", "--json")
    assert code == 0
    result = json.loads(text)
    assert result["certificate"]["verdict"] == "global_minimum"
    assert result["certificate"]["mse"] < 1e-24
    assert result["biases"] == ["b", "c"]
    with np.load("out.npz") as file:
        written = dict(file)
    assert {name: values.shape for name, values in written.items() if name != "rho"} == {
        name: values.shape for name, values in given.items()
    }
    assert written["rho"] == 0
    U = given["X"].astype(np.float64) @ written["W"].T + written["b"]
    assert np.abs(np.maximum(U, 0) @ written["z"][0] + written["c"] - given["y"][:, 0]).max() < 1e-12
    full = [np.column_stack([arrays["W"], arrays["b"]]) for arrays in (given, written)]
    moved = np.linalg.norm(full[1] - full[0]) / np.linalg.norm(full[0])
    assert result["polished"]["moved"]["W"] == pytest.approx(moved, rel=1e-6)
    np.savez("again.npz", **written)
    assert cli.main(["certify", "again.npz"]) == 0


def test_what_polishing_did_is_said(run):
    code, text, _ = run(network(), "--rho", "0", "--polish", "out.npz")
    assert code == 0
    assert "out.npz: moved W by" in text
    assert "--polish" not in text


@pytest.mark.parametrize("bias", [False, True])
def test_descending_writes_a_proven_minimum_and_certifies_both_points(run, bias):
    given = network(bias) | {"y": far_away()["y"]}
    given = torch_shapes(given) if bias else given | {"z": given["z"][None], "y": given["y"][:, None]}
    code, text, _ = run(given, "--rho", "0", "--descend", "out.npz", "--json")
    assert code == 0
    found = json.loads(text)
    assert found["polished"] is None
    assert found["start"]["verdict"] == "not_converged"
    assert found["certificate"]["verdict"] in ("global_minimum", "suboptimal_dlm", "suboptimal_kink")
    told = found["descended"]
    assert (told["output"], told["reason"]) == ("out.npz", "")
    assert told["mse_before"] == pytest.approx(found["start"]["mse"], rel=1e-9)
    assert told["mse"] == found["certificate"]["mse"] < told["mse_before"]
    with np.load("out.npz") as file:
        written = dict(file)
    assert {name: values.shape for name, values in written.items() if name != "rho"} == {
        name: values.shape for name, values in given.items()
    }
    old, new = ({n: np.float64(a.get(n, 0)) for n in "Wzbc"} for a in (given, written))
    mse = [
        np.mean((np.maximum(given["X"] @ a["W"].T + a["b"], 0) @ a["z"][0] + a["c"] - given["y"][:, 0]) ** 2)
        for a in (old, new)
    ]
    assert mse == pytest.approx([told["mse_before"], told["mse"]], rel=1e-6)
    squares = [sum(float(np.sum(a**2)) for a in which) for which in ([new[n] - old[n] for n in "Wzbc"], old.values())]
    assert told["distance"] == pytest.approx(np.sqrt(squares[0] / squares[1]), rel=1e-5)
    np.savez("again.npz", **written)
    assert cli.main(["certify", "again.npz"]) == 0


def test_a_descent_is_told_in_words(run, monkeypatch):
    monkeypatch.setattr(descent_cost, "LARGE", 1)
    code, text, said = run(far_away(), "--rho", "0", "--descend", "out.npz")
    assert code == 0
    given, reached = text.split("the point that the descent leads to:")
    assert "the point given:" in given
    assert "not_converged" in given
    assert any(name in reached for name in ("global_minimum", "suboptimal_dlm", "suboptimal_kink"))
    for words in ("out.npz: ", " steps, ", "of the norm of all weights away", " before, ", " after"):
        assert words in reached
    assert "advice" not in text
    assert said.startswith("descent: N = 24, d0 d1 = 30: ")
    assert len(said.splitlines()) == 1


def test_a_descent_that_proves_nothing_says_why(run):
    """Three points in a plane on which the neuron is zero, as above."""
    X = np.array([[1.0, 0, 0], [0, 1, 0], [1, 1, 0]])
    arrays = {"W": np.eye(3)[2:], "z": np.ones(1), "X": X, "y": np.ones(3), "rho": 0.0}
    assert "--descend OUT.npz" in run(arrays)[1].splitlines()[-1]
    told = json.loads(run(arrays, "--descend", "out.npz", "--json")[1])
    proven = told["certificate"]["verdict"] in ("global_minimum", "suboptimal_dlm", "suboptimal_kink")
    assert proven == (told["descended"]["reason"] == "")
    text = run(arrays, "--descend", "out.npz")[1]
    assert ("no proven minimum" in text) != proven


def without(name):
    return {key: values for key, values in network().items() if key != name}


@pytest.mark.parametrize(
    ("arrays", "arguments", "words"),
    [
        (network(), [], "holds no rho; give --rho"),
        (without("z"), ["--rho", "0"], "holds no array z (d1,)"),
        ({"a": np.ones(3)}, ["--rho", "0"], "holds no array W (d1, d0), z (d1,), X (N, d0), y (N,)"),
        (network() | {"W": network()["W"].T}, ["--rho", "0"], "W has shape (6, 5) and X (24, 6); give W (d1, d0)"),
        (network() | {"y": np.ones(7)}, ["--rho", "0"], "y has shape (7,), not (24,)"),
        (network() | {"b": np.ones(7)}, ["--rho", "0"], "b has shape (7,), not (5,)"),
        (network() | {"c": np.ones(2)}, ["--rho", "0"], "c has shape (2,), not ()"),
        (network() | {"z": np.full(D1, np.nan)}, ["--rho", "0"], "z: "),
        (network() | {"y": np.array(["a"] * N)}, ["--rho", "0"], "y holds entries that are not real numbers"),
        (network(), ["--rho", "1"], "rho: 1"),
        (network(), ["--rho", "0", "--polish", "no/such/out.npz"], "no/such/out.npz: cannot be written"),
        (network(), ["--rho", "0", "--descend", "no/such/out.npz"], "no/such/out.npz: cannot be written"),
        (network(), ["--rho", "0", "--descend", "a.npz", "--polish", "b.npz"], "not allowed with argument --descend"),
    ],
)
def test_wrong_files_are_one_line_and_exit_code_2(run, arrays, arguments, words):
    code, text, error = run(arrays, *arguments)
    assert (code, text) == (2, "")
    assert error.count("\n") == 1
    assert words in error


@pytest.mark.parametrize("content", [None, b"", b"no zip", b"PK\x03\x04 and no more"])
def test_what_is_no_npz(tmp_path, capsys, content):
    path = tmp_path / "mine.npz"
    if content is not None:
        path.write_bytes(content)
    assert cli.main(["certify", str(path), "--rho", "0"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "cannot be read as .npz" in error


def test_one_array_is_no_npz(tmp_path, capsys):
    np.save(tmp_path / "mine.npy", np.ones(3))
    assert cli.main(["certify", str(tmp_path / "mine.npy"), "--rho", "0"]) == 2
    assert "single array" in capsys.readouterr().err


def test_memory_and_time_of_a_large_certificate_are_said_first(run, monkeypatch):
    monkeypatch.setattr(cost, "LARGE", 23)
    code, text, said = run(network() | {"rho": 0.0}, "--json")
    assert code == 0
    # W is farther from the minimum than 1e-4 of its norm.
    assert json.loads(text)["certificate"]["verdict"] == "not_converged"
    assert 0 < json.loads(text)["certificate"]["distance"] < 0.1
    assert said.startswith("certificate: N = 24, d0 d1 = 30: ")
    # The labels are more than two values.
    assert [line.split(": ")[1] for line in said.splitlines()[1:]] == ["warning"]
