"""The JobSet for GKE: the API accepts it, and each way a pod can end has the right effect."""

import json
import re

import pytest
import yaml

from tests.launch.stubs import ROOT

JOBSET = yaml.safe_load((ROOT / "launch" / "jobset_large.yaml").read_text())
(SLICE,) = JOBSET["spec"]["replicatedJobs"]
JOB = SLICE["template"]["spec"]
POD = JOB["template"]["spec"]
(CONTAINER,) = POD["containers"]


@pytest.mark.slow
def test_is_what_the_api_takes(engines):
    """The models drop unknown fields, and refuse values of a wrong type."""
    code = """
import json, sys
from kubeflow_trainer_api.models.jobset_v1alpha2_job_set import JobsetV1alpha2JobSet
print(json.dumps(JobsetV1alpha2JobSet.from_dict(json.loads(sys.argv[1])).to_dict()))
"""
    assert engines(code, json.dumps(JOBSET)) == JOBSET
    misspelt = json.loads(json.dumps(JOBSET))
    misspelt["spec"]["replicatedJobs"][0]["template"]["spec"]["podFailurePolice"] = {}
    assert engines(code, json.dumps(misspelt)) == JOBSET


def what_follows(exit_code: int, disrupted: bool = False) -> str:
    """What JobSet does when a pod ends so: by the Job's rules in order, then by the JobSet's, as the APIs say."""
    if exit_code == 0:
        return "goes on"
    reason = "BackoffLimitExceeded"
    for rule in JOB["podFailurePolicy"]["rules"]:
        if "onPodConditions" in rule:
            matches = disrupted and {"type": "DisruptionTarget", "status": "True"} in rule["onPodConditions"]
        else:
            codes = rule["onExitCodes"]
            matches = (exit_code in codes["values"]) == (codes["operator"] == "In")
        if matches:
            reason = {"FailJob": "PodFailurePolicy", "Count": reason}[rule["action"]]
            break
    for rule in JOBSET["spec"]["failurePolicy"]["rules"]:
        if reason in rule["onJobFailureReasons"]:
            return rule["action"]
    return "RestartJobSet"


def test_exit_codes():
    assert JOB["backoffLimit"] == 0
    assert what_follows(75) == "RestartJobSetAndIgnoreMaxRestarts"
    assert what_follows(75, disrupted=True) == "RestartJobSetAndIgnoreMaxRestarts"
    assert what_follows(137, disrupted=True) == "RestartJobSetAndIgnoreMaxRestarts"
    for code in (1, 2, 137, 139):
        assert what_follows(code) == "FailJobSet"


def test_rules_are_well_formed():
    """What the API's validation requires beyond the types."""
    for rule in JOBSET["spec"]["failurePolicy"]["rules"]:
        assert re.fullmatch(r"[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?", rule["name"])
        assert rule["action"] in ("FailJobSet", "RestartJobSet", "RestartJobSetAndIgnoreMaxRestarts")
    assert JOBSET["spec"]["failurePolicy"]["restartStrategy"] in ("Recreate", "BlockingRecreate")
    assert POD["restartPolicy"] == "Never"  # what a podFailurePolicy needs
    for rule in JOB["podFailurePolicy"]["rules"]:
        assert rule.get("onExitCodes", {}).get("containerName", CONTAINER["name"]) == CONTAINER["name"]
    assert {m["name"] for m in CONTAINER["volumeMounts"]} == {v["name"] for v in POD["volumes"]}


def test_hosts_and_chips_are_those_of_the_slice():
    width, height = map(int, POD["nodeSelector"]["cloud.google.com/gke-tpu-topology"].split("x"))
    assert JOB["parallelism"] * CONTAINER["resources"]["limits"]["google.com/tpu"] == width * height
    assert JOB["parallelism"] == JOB["completions"]
    assert JOBSET["metadata"]["labels"]["kueue.x-k8s.io/queue-name"]


def test_there_is_time_to_save():
    assert POD["terminationGracePeriodSeconds"] >= 30
    # The program itself must get the signal, and its environment.
    assert CONTAINER["command"][:2] == ["bash", "-c"]
    assert CONTAINER["command"][2].startswith("source launch/env.sh && exec mnnjax run configs/gaussian_large.py")


def test_only_what_the_start_command_fills_in_is_left_open():
    text = (ROOT / "launch" / "jobset_large.yaml").read_text()
    assert "envsubst '$IMAGE $BUCKET'" in text
    assert set(re.findall(r"\$\{(\w+)\}", text)) == {"IMAGE", "BUCKET"}


def test_the_image_holds_what_the_command_needs():
    text = (ROOT / "launch" / "Dockerfile").read_text()
    copied = [word for line in re.findall(r"^COPY (.*) \S+$", text, re.MULTILINE) for word in line.split()]
    assert {"pyproject.toml", "constraints.txt", "README.md", "LICENSE", "mnnjax", "configs", "launch"} == set(copied)
    assert all((ROOT / name).exists() for name in copied)
