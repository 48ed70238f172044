"""`mnnjax bounds` and `mnnjax construct`."""

import json

import numpy as np
import pytest

from mnnjax import cli


def test_bounds_print_leading_order_and_json(capsys):
    arguments = ["bounds", "--N", "10000", "--d0", "200", "--d1", "300", "--eps", "0.1"]
    assert cli.main(arguments) == 0
    text = capsys.readouterr().out
    assert text.count("leading order") >= 8
    assert "not met" in text
    assert cli.main([*arguments, "--json"]) == 0
    table = json.loads(capsys.readouterr().out)
    suboptimal = next(row["value"] for row in table["expressions"] if row["source"] == "Theorem 6")
    assert suboptimal == pytest.approx(-0.23 * 0.1**0.75 * 10_000**0.75 * (200 * 300) ** 0.25)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["bounds", "--N", "100"], "--d0"),
        (["bounds", "--N", "100", "--d0", "5", "--d1", "5", "--eps", "2"], "eps"),
        (["bounds", "--N", "100", "--d0", "5", "--d1", "5", "--eps", "0.1", "--rho", "1"], "rho"),
        (["construct", "--output", "x.npz", "--rho", "1"], "rho"),
        (["construct", "--output", "x.npz", "--N", "0"], "N"),
        (["construct", "--output", "x.npz", "--d0", "1"], "d0"),
        (["construct", "--output", "x.npz", "--seed", "-1"], "seed: -1 must lie between"),
        (["construct", "--output", "x.npz", "--input", "missing.npz"], "missing.npz"),
        (["construct", "--output", "no/such/folder/x.npz"], "no/such/folder"),
        (["construct"], "--output"),
    ],
)
def test_wrong_calls_of_bounds_and_construct(arguments, named, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(arguments) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert named in error
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("rho", [0.0, 0.1])
def test_construct_writes_a_global_minimum(tmp_path, capsys, rho):
    output = tmp_path / "minimum.npz"
    arguments = ["construct", "--N", "40", "--d0", "6", "--seed", "3", "--rho", str(rho), "--output", str(output)]
    assert cli.main(arguments) == 0
    assert "global_minimum" in capsys.readouterr().out
    with np.load(output) as arrays:
        W, z, X, y = (arrays[name] for name in ("W", "z", "X", "y"))
    assert X.shape == (40, 6)
    assert set(y) == {0, 1}
    assert len(z) <= 4 * -(-40 // 10)
    U = X @ W.T
    assert np.abs(np.where(U > 0, U, rho * U) @ z - y).max() < 1e-9
    assert np.abs(U).min() > 0


def test_construct_takes_the_users_points_and_names_rows_that_contradict(tmp_path, capsys):
    X = np.random.default_rng(0).standard_normal((9, 4))
    y = np.arange(9) % 2
    np.savez(tmp_path / "mine.npz", X=X, y=y)
    arguments = ["construct", "--input", str(tmp_path / "mine.npz"), "--output", str(tmp_path / "out.npz")]
    assert cli.main([*arguments, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["certificate"]["verdict"] == "global_minimum"
    assert result["units"] <= result["d1_star"] == 8
    X[7] = X[2]
    np.savez(tmp_path / "mine.npz", X=X, y=y)
    assert cli.main(arguments) == 2
    error = capsys.readouterr().err
    assert "2" in error
    assert "7" in error
    np.savez(tmp_path / "mine.npz", X=X)
    assert cli.main(arguments) == 2
    assert "holds no array y (N,), but X; write it" in capsys.readouterr().err
