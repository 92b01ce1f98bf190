"""The Kubernetes manifests, judged by KubeRay's own schemas and by what kubectl makes of them."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from drivers import ROOT

from choreai.cli.flags import extract_parser, tag_parser
from choreai.cli.serve import serve_parser
from choreai.config import load_pose_settings
from choreai.web.serve import TOKEN_VARIABLE

DEPLOY = ROOT / "deploy"
SHARED_CRDS = ROOT.parent / "shared" / "data" / "kuberay_crds"
JOBS = {"extract": extract_parser, "tag": tag_parser}


def strict(schema: Any) -> Any:
    """A CRD's schema as JSON Schema in which an unknown field is an error, as it is not in a cluster."""
    if isinstance(schema, list):
        return [strict(entry) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string") is True:
        return {"type": ["integer", "string"]}
    keeps = schema.get("x-kubernetes-preserve-unknown-fields") is True
    # "format" holds Go's number types, of which JSON Schema knows nothing.
    out = {key: strict(value) for key, value in schema.items() if key != "format" or not isinstance(value, str)}
    if "properties" in schema and schema.get("type") == "object" and not keeps:
        out.setdefault("additionalProperties", False)
    return out


@pytest.fixture(scope="module")
def kuberay() -> dict[str, Any]:
    """A validator for each kind of KubeRay v1.7."""
    import jsonschema

    if not SHARED_CRDS.is_dir():
        pytest.skip(f"KubeRay's schemas are not at {SHARED_CRDS}")
    validators = {}
    for path in sorted(SHARED_CRDS.glob("crd_*.yaml")):
        crd = yaml.load(path.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        version = next(v for v in crd["spec"]["versions"] if v["name"] == "v1")
        schema = strict(version["schema"]["openAPIV3Schema"])
        schema["properties"]["metadata"] = {"type": "object"}
        validators[crd["spec"]["names"]["kind"]] = jsonschema.Draft7Validator(schema)
    return validators


def manifests() -> list[dict[str, Any]]:
    files = sorted((DEPLOY / "kuberay").glob("*.yaml"))
    return [document for path in files for document in yaml.safe_load_all(path.read_text())]


@pytest.fixture
def cluster_resource() -> dict[str, Any]:
    cluster = next(document for document in manifests() if document["kind"] == "RayCluster")
    cluster["metadata"]["namespace"] = "choreai"
    return cluster


@pytest.fixture(scope="module")
def built() -> list[dict[str, Any]]:
    """What `kubectl apply` is given: the command that kustomization.yaml names."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    command = (DEPLOY / "kuberay/kustomization.yaml").read_text().splitlines()[0].lstrip("# ").split("|")[0].split()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def problems(validators: dict[str, Any], documents: list[dict[str, Any]]) -> list[str]:
    ours = [document for document in documents if document["apiVersion"] == "ray.io/v1"]
    return [
        f"{d['metadata']['name']}: {error.json_path}: {error.message[:200]}"
        for d in ours
        for error in validators[d["kind"]].iter_errors(d)
    ]


@pytest.mark.shared
def test_kuberays_schemas_accept_the_manifests(kuberay) -> None:
    assert {"RayCluster", "RayJob", "RayCronJob"} <= {document["kind"] for document in manifests()}
    assert problems(kuberay, manifests()) == []


@pytest.mark.shared
def test_kuberays_schemas_accept_what_is_applied(kuberay, built) -> None:
    kinds = sorted(document["kind"] for document in built)
    assert kinds == ["ConfigMap", "RayCronJob", "RayJob", "RayJob", "ServiceAccount", "ServiceAccount"]
    assert problems(kuberay, built) == []


@pytest.mark.shared
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda spec: spec.update(enableInTreeAutoscalling=True), "enableInTreeAutoscalling"),
        (lambda spec: spec["workerGroupSpecs"][0].update(maxReplicas="8"), "is not of type 'integer'"),
        (lambda spec: spec["headGroupSpec"].pop("template"), "'template' is a required property"),
        (lambda spec: spec["headGroupSpec"]["template"]["spec"].update(serviceAcountName="x"), "serviceAcountName"),
        (lambda spec: spec["authOptions"].update(mode="tokens"), "is not one of"),
    ],
)
def test_a_mistake_in_a_manifest_is_found(kuberay, change, words) -> None:
    cluster = next(document for document in manifests() if document["kind"] == "RayCluster")
    change(cluster["spec"])
    assert any(words in problem for problem in problems(kuberay, [cluster]))


def test_rays_autoscaler_reads_the_cluster_as_it_is_meant(cluster_resource) -> None:
    from ray.autoscaler._private.kuberay.autoscaling_config import _derive_autoscaling_config_from_ray_cr

    config = _derive_autoscaling_config_from_ray_cr(cluster_resource)
    types = config["available_node_types"]
    assert types.pop(config["head_node_type"])["resources"]["CPU"] == 0
    found = {name: (t["max_workers"], t.get("priority", 0), t["resources"].get("GPU", 0)) for name, t in types.items()}
    assert found == {
        "cpu-spot": (8, 10, 0),
        "cpu-on-demand": (2, 0, 0),
        "gpu-spot": (8, 10, 1),
        "gpu-on-demand": (4, 0, 1),
    }
    assert {t["resources"]["CPU"] for name, t in types.items() if name.startswith("gpu")} == {8}
    assert config["idle_timeout_minutes"] == 5


def job_specs(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    jobs = [d["spec"] for d in documents if d["kind"] == "RayJob" and d["metadata"]["name"] != "choreai-web"]
    return jobs + [d["spec"]["jobTemplate"] for d in documents if d["kind"] == "RayCronJob"]


def test_the_jobs_call_what_exists_with_flags_that_exist() -> None:
    specs = job_specs(manifests())
    assert len(specs) == 3
    for spec in specs:
        program, job, *arguments = spec["entrypoint"].split()
        assert program == "choreai"
        parsed = JOBS[job](None).parse_args(arguments)
        assert (DEPLOY / Path(parsed.config).name).exists()
        assert getattr(parsed, "workers.num_workers") > 0  # automatic would count the nodes, and there are none yet
        assert spec["backoffLimit"] == 0  # a second run would end well and hide that the first did not
        assert spec["shutdownAfterJobFinishes"] is True


def test_every_job_brings_its_cluster_and_its_settings(built) -> None:
    settings = next(document for document in built if document["kind"] == "ConfigMap")
    assert settings["data"] == {name: (DEPLOY / name).read_text() for name in ("extract.toml", "tag.toml")}
    cluster = next(document["spec"] for document in manifests() if document["kind"] == "RayCluster")
    for spec in job_specs(built):
        assert spec["rayClusterSpec"] == cluster
        mounted = spec["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["volumes"][0]["configMap"]["name"]
        assert mounted == settings["metadata"]["name"]


def test_every_pod_is_no_root_has_an_account_and_says_what_it_needs(built) -> None:
    accounts = {document["metadata"]["name"] for document in built if document["kind"] == "ServiceAccount"}
    for spec in job_specs(built):
        cluster = spec["rayClusterSpec"]
        groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
        nodes = [group["template"]["spec"] for group in groups]
        assert {pod["serviceAccountName"] for pod in nodes} == accounts
        for pod in [*nodes, spec["submitterPodTemplate"]["spec"]]:
            assert pod["securityContext"]["runAsNonRoot"] is True
            for container in pod["containers"]:
                assert container["securityContext"]["allowPrivilegeEscalation"] is False
                assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
                assert container["image"] == nodes[0]["containers"][0]["image"]
        assert cluster["headGroupSpec"]["rayStartParams"] == {"num-cpus": "0"}
        assert {group["minReplicas"] for group in cluster["workerGroupSpecs"]} == {0}


@pytest.fixture
def web() -> tuple[dict[str, Any], dict[str, Any]]:
    """The service and the job of the web application."""
    service, job = yaml.safe_load_all((DEPLOY / "kuberay/web-service.yaml").read_text())
    assert (service["kind"], job["kind"]) == ("Service", "RayJob")
    return service["spec"], job["spec"]


def test_the_web_service_reaches_the_head_on_which_the_server_runs(web) -> None:
    service, job = web
    program, command, *arguments = job["entrypoint"].split()
    assert (program, command) == ("choreai", "serve")
    parsed = serve_parser(None).parse_args(arguments)
    assert service["ports"][0]["targetPort"] == parsed.port
    assert parsed.host == "0.0.0.0"
    assert parsed.max_viewers > 0  # automatic would count the CPUs, and there are none yet
    head = job["rayClusterSpec"]["headGroupSpec"]["template"]
    assert service["selector"].items() <= head["metadata"]["labels"].items()
    mounts = {mount["mountPath"]: mount["name"] for mount in head["spec"]["containers"][0]["volumeMounts"]}
    assert parsed.data in mounts
    assert str(Path(parsed.config).parent) in mounts
    load_pose_settings(str(DEPLOY / Path(parsed.config).name))
    assert set(mounts.values()) == {volume["name"] for volume in head["spec"]["volumes"]}


def test_the_web_service_is_not_open_and_its_token_is_a_secret(web) -> None:
    _, job = web
    head = job["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["containers"][0]
    (token,) = [entry for entry in head["env"] if entry["name"] == TOKEN_VARIABLE]
    assert token["valueFrom"]["secretKeyRef"]["name"] == "choreai-web"
    assert "value" not in token
    assert job["rayClusterSpec"]["authOptions"] == {"mode": "token"}


def test_the_web_cluster_runs_what_the_jobs_run(web, cluster_resource) -> None:
    _, job = web
    spec, ours = job["rayClusterSpec"], cluster_resource["spec"]
    assert spec["rayVersion"] == ours["rayVersion"]
    groups = [spec["headGroupSpec"], *spec["workerGroupSpecs"]]
    pods = [group["template"]["spec"] for group in groups] + [job["submitterPodTemplate"]["spec"]]
    assert {pod.get("serviceAccountName") for pod in pods[:-1]} == {"choreai-head", "choreai-worker"}
    image = ours["headGroupSpec"]["template"]["spec"]["containers"][0]["image"]
    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"] is True
        for container in pod["containers"]:
            assert container["image"] == image
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
