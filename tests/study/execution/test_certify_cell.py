"""Certificates of trained networks, of any depth, with and without biases."""

import jax
import numpy as np
import pytest
from threadpoolctl import threadpool_info

from mnnjax.config import Network, Problem, Study, Train
from mnnjax.jax_setup import cores
from mnnjax.landscape.certificates import cost
from mnnjax.network import MNN
from mnnjax.study.execution import certify_cell
from mnnjax.study.execution.certify_cell import certify_network, certify_seeds
from mnnjax.study.plan.grid import cells
from mnnjax.study.resources.estimate import describe, estimate
from mnnjax.study.runner import run_study
from mnnjax.study.workdir.results_table import read_csv


def planted(layers: int, bias: bool, N: int, rho: float, seed: int = 0):
    """Random weights, and points whose labels are the outputs of the network: a global minimum."""
    network = Network(hidden_layers=(layers,), rho=rho, bias=bias, init="gaussian")
    module = MNN((4,) * layers, rho, bias, "gaussian")
    X = np.random.default_rng(seed).standard_normal((N, 3))
    params = jax.device_get(module.init(jax.random.key(seed), X)["params"])
    return network, params, X, np.asarray(module.apply({"params": params}, X))


@pytest.mark.quick_cases(8)
@pytest.mark.parametrize("N", [6, 40])
@pytest.mark.parametrize("rho", [0.1, -0.5])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_a_planted_network_is_at_a_global_minimum(layers, bias, rho, N):
    network, params, X, y = planted(layers, bias, N, rho)
    certificate = certify_network(params, network, layers, X, y, 0.0)
    assert certificate.verdict == "global_minimum", certificate.reason
    assert certificate.mse < 1e-28
    assert certificate.min_abs_neural_input >= certificate.margin > 0


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("bias", [False, True])
def test_the_gradient_is_that_of_the_last_two_layers(layers, bias):
    network, params, X, y = planted(layers, bias, 30, 0.1)
    y = y + np.random.default_rng(1).standard_normal(30)
    last = [f"W{layers}", "z"] + ([f"b{layers}", "c"] if bias else [])
    module = MNN((4,) * layers, 0.1, bias, "gaussian")

    def mse(some):
        return ((y - module.apply({"params": {**params, **some}}, X)) ** 2).mean()

    gradient = jax.grad(mse)({name: params[name] for name in last})
    expected = np.sqrt(sum(float((leaf**2).sum()) for leaf in gradient.values()))
    certificate = certify_network(params, network, layers, X, y, 0.0)
    assert certificate.verdict == "not_converged"
    assert certificate.grad_norm == pytest.approx(expected, rel=1e-12)


def test_seeds_are_certified_as_one_by_one_and_broken_ones_passed_over():
    network, params, X, y = planted(1, False, 10, 0.0)
    broken = {name: np.full_like(leaf, np.nan) for name, leaf in params.items()}
    stacked = {name: np.stack([params[name], broken[name], params[name]]) for name in params}
    found = certify_seeds(stacked, network, 1, np.stack([X] * 3), np.stack([y, y, y + 1]), 0.0)
    assert found[1] is None
    assert found[0] == certify_network(params, network, 1, X, y, 0.0)
    assert found[2].mse == pytest.approx(1)


@pytest.mark.slow
def test_runs_of_figure_5_2_end_at_certified_global_minima(tmp_path):
    study = Study(
        name="certified",
        problem=Problem(d0=(12,), d0_d1_over_N=(5.0,)),
        train=Train(epochs=1000, decay_epochs=1000, precision="float64"),
        repeats=4,
    )
    run_study(study, tmp_path / "run")
    for row in read_csv(tmp_path / "run/results.csv"):
        assert row["reason"]
        if row["verdict"] == "global_minimum":
            assert (float(row["region_mse"]), float(row["region_mce"])) == (0, 0)
            assert float(row["margin"]) <= float(row["min_abs_neural_input"])
        if row["verdict"] == "suboptimal_dlm":
            # A DLM's error is known from its region alone, and training has reached it.
            assert float(row["region_mse"]) == pytest.approx(float(row["mse"]), rel=1e-6)
    assert sum(row["verdict"] == "global_minimum" for row in read_csv(tmp_path / "run/results.csv")) >= 2


def blas_threads(N):
    with certify_cell.blas_threads(N, 100, 100):
        return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_a_large_certificate_is_alone_with_all_threads(monkeypatch):
    monkeypatch.setattr(certify_cell, "cores", lambda: 2)
    assert [certify_cell.workers(N, 100, 100) for N in (6_000, 6_001)] == [2, 1]
    assert blas_threads(6_000) == {1}
    assert blas_threads(6_001) == {min(2, cores())}


@pytest.mark.slow
@pytest.mark.parametrize("free", [10**9, 10**3])
def test_a_study_says_what_large_certificates_take_and_omits_those_without_memory(tmp_path, monkeypatch, capsys, free):
    monkeypatch.setattr(cost, "LARGE", 11)
    monkeypatch.setattr(cost, "free_memory", lambda: free)
    train = Train(optimizer="levenberg_marquardt", precision="float64", epochs=30, decay_epochs=0)
    study = Study("large", Problem(d0=(6,), N=(12,)), Network(d1=(6,)), train=train, repeats=2)
    run_study(study, tmp_path)
    said, name = capsys.readouterr().out.splitlines(), "large.h1.d6x6.N12"
    (line,) = [line for line in said if "certificate" in line]
    assert line.startswith(f"{name}: each certificate: N = 12, d0 d1 = 36: ")
    assert said.index(line) < next(k for k, text in enumerate(said) if text.startswith("[1/1]"))
    found = {(row["verdict"], row["reason"]) for row in read_csv(tmp_path / "results.csv")}
    lack = cost.omission(12, 6, 6)
    if lack is None:
        assert {verdict for verdict, _ in found} == {"global_minimum"}
    else:
        assert found == {("not_certified", lack)}
    assert (lack is None) == (free == 10**9)
    # The dry run says so too.
    assert (f"will be not_certified: {name}: {lack}" in describe(estimate(cells(study)))) == (lack is not None)
