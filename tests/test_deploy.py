"""What launches a cluster, judged by those who will read it: Ray's validation and autoscaler, and EC2 and S3 (moto)."""

import copy
import json
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from typing import Any

import pytest
import yaml
from drivers import ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from choreai.cli.compact import compact_parser
from choreai.cli.flags import extract_parser, tag_parser
from choreai.cli.plan import plan_parser
from choreai.cli.report import report_parser
from choreai.cli.serve import serve_parser
from choreai.config import ExtractConfig, TagConfig, load_config
from choreai.tables.compact import COMPACTED_TABLES

DEPLOY = ROOT / "deploy"
POSE_WORKER = {"CPU": 4, "GPU": 0.5}


@pytest.fixture
def cluster() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "cluster.yaml").read_text())


def launched(cluster: dict[str, Any], worker: dict[str, float], count: int, monitor: Any = None) -> dict[str, int]:
    """The nodes of each type that Ray's autoscaler starts for `count` waiting workers, from nothing."""
    from ray.autoscaler.v2.instance_manager.config import AutoscalingConfig
    from ray.autoscaler.v2.scheduler import ResourceDemandScheduler, SchedulingRequest
    from ray.autoscaler.v2.utils import ResourceRequestUtil

    cluster = {**cluster, "auth": {"ssh_user": "ubuntu"}}  # reading it wants no private key
    config = AutoscalingConfig(cluster, skip_content_hash=True)
    request = SchedulingRequest(
        disable_launch_config_check=True,
        node_type_configs=config.get_node_type_configs(),
        max_num_nodes=config.get_max_num_nodes(),
        resource_requests=ResourceRequestUtil.group_by_count([ResourceRequestUtil.make(worker)] * count),
        cloud_resource_availabilities=monitor.get_resource_availabilities() if monitor else {},
        recoverable_resource_availabilities=monitor.get_recoverable_resource_availabilities() if monitor else {},
    )
    reply = ResourceDemandScheduler(None).schedule(request)
    return {launch.instance_type: launch.count for launch in reply.to_launch}


def test_ray_accepts_the_cluster_file_and_no_other_spelling(cluster) -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    validate_config(prepare_config(copy.deepcopy(cluster)))
    cluster["idle_timeout_minuts"] = cluster.pop("idle_timeout_minutes")
    with pytest.raises(Exception, match="idle_timeout_minuts"):
        validate_config(prepare_config(cluster))


@pytest.mark.parametrize(
    ("worker", "count", "nodes"),
    [
        ({"CPU": 1}, 20, {"cpu_spot": 2}),
        ({"CPU": 1}, 160, {"cpu_spot": 8, "cpu_on_demand": 2}),
        (POSE_WORKER, 10, {"gpu_spot": 5}),
        (POSE_WORKER, 20, {"gpu_spot": 8, "gpu_on_demand": 2}),
        (POSE_WORKER, 1000, {"gpu_spot": 8, "gpu_on_demand": 4}),
    ],
)
def test_workers_come_on_spot_first_and_never_on_the_head(cluster, worker, count, nodes) -> None:
    assert launched(cluster, worker, count) == nodes


def test_ray_prefers_on_demand_after_a_slow_spot_start_but_not_after_a_refusal(cluster) -> None:
    """What cluster.yaml and ray-cluster.yaml say of Ray 2.60; should Ray learn more, they can say so."""
    from ray.autoscaler.v2.instance_manager.subscribers.cloud_resource_monitor import CloudResourceMonitor
    from ray.core.generated.instance_manager_pb2 import Instance, InstanceUpdateEvent

    def after(status: int) -> dict[str, int]:
        monitor = CloudResourceMonitor()
        monitor.notify([InstanceUpdateEvent(instance_id="1", instance_type="gpu_spot", new_instance_status=status)])
        return launched(cluster, POSE_WORKER, 2, monitor)

    assert after(Instance.ALLOCATION_FAILED) == {"gpu_spot": 1}
    assert after(Instance.ALLOCATION_TIMEOUT) == {"gpu_on_demand": 1}
    cluster["available_node_types"]["gpu_spot"]["max_workers"] = 0  # the remedy that is written there
    assert after(Instance.ALLOCATION_FAILED) == {"gpu_on_demand": 1}


def test_the_cluster_has_roles_a_token_and_a_dashboard_for_itself(cluster) -> None:
    profiles = {n: t["node_config"]["IamInstanceProfile"]["Name"] for n, t in cluster["available_node_types"].items()}
    assert {name for name, profile in profiles.items() if profile.endswith("head")} == {"head"}
    assert "--env RAY_AUTH_MODE=token" in cluster["docker"]["run_options"]
    assert cluster["file_mounts"] == {"/home/choreai/.ray": "~/.ray"}
    assert "--dashboard-host=127.0.0.1" in cluster["head_start_ray_commands"][-1]
    words = {name for line in (ROOT / "cluster.yaml").read_text().splitlines() for name in re.findall(r"AWS_\w+", line)}
    assert not words  # no key, and no variable that would hold one


def test_ec2_takes_the_nodes_and_the_head_may_do_what_its_autoscaler_calls(
    cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)  # moto in this process, whatever other tests talk to
    monkeypatch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", cluster["provider"]["region"])
    import boto3
    import botocore.client
    from moto import mock_aws
    from ray.autoscaler._private.aws import node_provider
    from ray.autoscaler._private.aws.config import bootstrap_aws
    from ray.autoscaler._private.util import prepare_config
    from ray.autoscaler.tags import NODE_KIND_WORKER, TAG_RAY_NODE_KIND, TAG_RAY_NODE_STATUS

    calls: set[str] = set()
    call = botocore.client.BaseClient._make_api_call  # type: ignore[attr-defined]

    def recorded(client: Any, operation: str, arguments: Any) -> Any:
        calls.add(f"{client.meta.service_model.service_name}:{operation}")
        return call(client, operation, arguments)

    with mock_aws():
        ec2 = boto3.client("ec2")
        group = ec2.create_security_group(GroupName="g", Description="g", VpcId=ec2.describe_vpcs()["Vpcs"][0]["VpcId"])
        boto3.client("iam").create_instance_profile(InstanceProfileName="CHANGE-ME-profile-worker")
        text = json.dumps(cluster).replace("sg-CHANGE-ME", group["GroupId"])
        (tmp_path / "key.pem").write_text("no key")
        config = prepare_config(json.loads(text.replace("~/.ssh/CHANGE-ME-key.pem", str(tmp_path / "key.pem"))))
        config = bootstrap_aws(config)
        monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", recorded)
        monkeypatch.setattr(node_provider, "TAG_BATCH_DELAY", 0)
        provider = node_provider.AWSNodeProvider(config["provider"], config["cluster_name"])
        for name in ("gpu_spot", "gpu_on_demand"):
            node = config["available_node_types"][name]["node_config"]
            assert len(node["SubnetIds"]) == 3  # one in every zone, tried in turn
            provider.create_node(dict(node), {TAG_RAY_NODE_KIND: NODE_KIND_WORKER}, 1)
        nodes = provider.non_terminated_nodes({})
        found = [i for r in ec2.describe_instances()["Reservations"] for i in r["Instances"]]
        assert sorted(instance.get("InstanceLifecycle", "on demand") for instance in found) == ["on demand", "spot"]
        provider.set_node_tags(nodes[0], {TAG_RAY_NODE_STATUS: "up-to-date"})
        provider.terminate_nodes(nodes)
        assert provider.non_terminated_nodes({}) == []
    assert granted("iam-policy-head.json") == calls | {"iam:PassRole"}  # checked by RunInstances, no call of its own


def docker_steps() -> list[tuple[str, str]]:
    text = re.sub(r"^#.*\n", "", (DEPLOY / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\s*\\\n\s*", " ", text).splitlines()
    return [(line.split()[0], line.partition(" ")[2].strip()) for line in lines if line.strip()]


def test_everything_the_image_copies_is_there_and_let_through() -> None:
    sources = [w for step, rest in docker_steps() if step == "COPY" and "--from" not in rest for w in rest.split()[:-1]]
    let_through = {line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line[0] == "!"}
    assert set(sources) == let_through
    assert all((ROOT / source).exists() for source in sources)


def test_the_image_is_pinned_and_does_not_run_as_root() -> None:
    steps = docker_steps()
    bases = [rest for step, rest in steps if step == "ARG" and rest.startswith("BASE=")]
    assert len(bases) == 1
    assert re.search(r":\d+\.\d+\.\d+-base-ubuntu24\.04@sha256:[0-9a-f]{64}$", bases[0])
    assert {rest.split()[0] for step, rest in steps if step == "FROM"} == {"${BASE}"}
    installs = [c for step, rest in steps if step == "RUN" for c in rest.split("&&") if "pip install" in c]
    assert len(installs) == 3
    assert all(re.search(r"--constraint constraints\.txt|--no-deps|\w==\d", command) for command in installs)
    assert [rest for step, rest in steps if step == "USER"] == ["1000:1000"]
    assert steps[-2][0] == "USER"  # and nothing runs after it but the command


PYTHON_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


def pins_for(python_version: str) -> dict[str, str]:
    """The pinned release of each package for that version of Python."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [Requirement(line) for line in lines if not line.startswith("#")]
    chosen = [pin for pin in pins if pin.marker is None or pin.marker.evaluate({"python_version": python_version})]
    names = [canonicalize_name(pin.name) for pin in chosen]
    assert len(set(names)) == len(names)
    return {name: str(pin.specifier).removeprefix("==") for name, pin in zip(names, chosen, strict=True)}


def requires_if_installed(name: str) -> list[str]:
    try:
        return requires(name) or []
    except PackageNotFoundError:
        return []


def wanted_by(project: dict[str, Any], extras: list[str], python_version: str) -> list[Requirement]:
    texts = project["dependencies"] + [r for extra in extras for r in project["optional-dependencies"][extra]]
    wanted = [Requirement(text) for text in texts]
    return [r for r in wanted if r.marker is None or r.marker.evaluate({"python_version": python_version})]


@pytest.mark.parametrize("python_version", ["3.11", "3.12", "3.13"])
def test_the_pins_are_what_pyproject_asks_for(python_version: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"Programming Language :: Python :: {python_version}" in project["classifiers"]
    pins = pins_for(python_version)
    for requirement in wanted_by(project, list(project["optional-dependencies"]), python_version):
        assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)]), str(requirement)


def test_every_package_of_the_image_is_pinned_and_its_extras_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = next(rest for step, rest in docker_steps() if step == "ARG" and rest.startswith("EXTRAS="))[7:].split(",")
    assert set(extras) <= set(project["optional-dependencies"])
    pins = pins_for(PYTHON_VERSION)
    todo = wanted_by(project, extras, PYTHON_VERSION)
    seen: set[str] = set()
    while todo:
        requirement = todo.pop()
        name = canonicalize_name(requirement.name)
        # Pinned in the Dockerfile, or by torch itself: its CUDA wheels are none where it was built for the CPU.
        pinned_elsewhere = name not in pins and (name == "setuptools" or "==" in str(requirement.specifier))
        if pinned_elsewhere or str(requirement) in seen:
            continue
        seen.add(str(requirement))
        assert name in pins, f"{requirement}: not in constraints.txt"
        assert requirement.specifier.contains(pins[name]), f"{requirement}: constraints.txt has {pins[name]}"
        for text in requires_if_installed(name):
            below = Requirement(text)
            wanted = [{"extra": extra} for extra in (requirement.extras or {""})]
            if below.marker is None or any(below.marker.evaluate(extra) for extra in wanted):
                todo.append(below)


def test_the_layer_of_dependencies_builds_without_the_source(tmp_path: Path) -> None:
    """The Dockerfile installs the dependencies before it copies the source; here all but the downloads."""
    first = next(rest for step, rest in docker_steps() if step == "COPY")
    for name in first.split()[:-1]:
        shutil.copy(ROOT / name, tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--dry-run", "--no-deps", "--no-index", "--no-build-isolation", "."],
        cwd=tmp_path, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    if "No module named 'setuptools'" in done.stderr:
        pytest.skip("this environment has no setuptools to build with")
    assert done.returncode == 0, done.stderr
    assert "Would install choreai" in done.stdout


def statements(name: str) -> list[dict[str, Any]]:
    policy = json.loads((DEPLOY / name).read_text())
    assert policy["Version"] == "2012-10-17"
    assert all(statement["Effect"] == "Allow" for statement in policy["Statement"])
    return list(policy["Statement"])


def granted(name: str) -> set[str]:
    return {action for statement in statements(name) for action in statement["Action"]}


def test_the_jobs_may_do_in_the_bucket_what_the_code_does_and_no_more() -> None:
    needs = {
        "head_object": "s3:GetObject",
        "get_object": "s3:GetObject",
        "put_object": "s3:PutObject",
        "list_objects_v2": "s3:ListBucket",
        "delete_object": "s3:DeleteObject",
    }
    source = (ROOT / "choreai/storage/s3.py").read_text()
    calls = set(re.findall(r"\bclient\.(\w+)\(", source))
    # AbortMultipartUpload: Ray Train uploads checkpoints in parts; and it deletes all but the last.
    published = set(re.findall(r"\bclient\.(\w+)\(", (ROOT / "choreai/storage/sns.py").read_text()))
    assert published == {"publish"}
    uses = {needs[call] for call in calls} | {"s3:AbortMultipartUpload", "sns:Publish"}
    assert granted("iam-policy.json") == uses
    assert not any("*" in action for name in DEPLOY.glob("iam-*.json") for action in granted(name.name))


def test_nothing_but_training_checkpoints_and_compacted_parts_can_be_deleted_and_only_the_former_expire() -> None:
    assert 'join_uri(output_uri, "training")' in (ROOT / "choreai/style/training/training.py").read_text()
    output = tomllib.loads((DEPLOY / "train.toml").read_text())["output"].removeprefix("s3://CHANGE-ME/")
    deletable = {r for s in statements("iam-policy.json") if "s3:DeleteObject" in s["Action"] for r in s["Resource"]}
    assert deletable == {f"arn:aws:s3:::CHANGE-ME/{output}/{name}/*" for name in ("training", *COMPACTED_TABLES)}
    rules = json.loads((DEPLOY / "lifecycle.json").read_text())["Rules"]
    assert [rule["Filter"]["Prefix"] for rule in rules if "Expiration" in rule] == [f"{output}/training/"]


def test_what_may_be_said_goes_to_one_topic_only() -> None:
    (topic,) = [r for s in statements("iam-policy.json") if "sns:Publish" in s["Action"] for r in s["Resource"]]
    assert topic.startswith("arn:aws:sns:")
    assert topic.rpartition(":")[2] not in ("", "*")


def test_the_policy_covers_every_place_that_the_job_files_name() -> None:
    readable = [r for s in statements("iam-policy.json") if "s3:GetObject" in s["Action"] for r in s["Resource"]]
    for path in DEPLOY.glob("*.toml"):
        for key in re.findall(r'"s3://CHANGE-ME/([^"]+)"', path.read_text()):
            arn = f"arn:aws:s3:::CHANGE-ME/{key}"
            assert any(arn == r or (r.endswith("*") and f"{arn}/".startswith(r[:-1])) for r in readable), arn


@pytest.mark.s3
def test_s3_takes_the_lifecycle_rules(s3_client: Any, s3_uri: str) -> None:
    rules = json.loads((DEPLOY / "lifecycle.json").read_text())
    bucket = s3_uri.removeprefix("s3://")
    s3_client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration=rules)
    kept = s3_client.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    assert {rule["ID"] for rule in kept} == {rule["ID"] for rule in rules["Rules"]}


def test_the_runbook_names_only_files_and_flags_that_exist() -> None:
    text = (DEPLOY / "RUNBOOK.md").read_text()
    names = set(re.findall(r"\b((?:deploy|jobs)/[\w./-]+\w|(?<!-)cluster\.yaml)", text))
    assert {"cluster.yaml", "deploy/submit.sh", "deploy/iam-policy.json", "deploy/lifecycle.json"} <= names
    assert [name for name in names if not (ROOT / name).exists()] == []
    known = {o for parser in (extract_parser, tag_parser) for a in parser(None, "")._actions for o in a.option_strings}
    for line in text.splitlines():
        if "deploy/submit.sh" in line and " -- " in line:
            flags = re.findall(r"--[a-z][\w-]+", line.partition(" -- ")[2])
            assert set(flags) <= known
    for row in ("smaller runs", "dry run"):
        (line,) = [line for line in text.splitlines() if line.startswith(f"| {row} |")]
        assert set(re.findall(r"--[a-z][\w-]+", line)) <= known


def test_the_commands_of_the_runbook_are_understood() -> None:
    parsers = {"compact": compact_parser, "plan": plan_parser, "report": report_parser, "serve": serve_parser}
    text = (DEPLOY / "RUNBOOK.md").read_text()
    commands = re.findall(rf"\bchoreai ({'|'.join(parsers)}) ([^`\n]*--[^`\n]*)", text)
    assert {name for name, _ in commands} == set(parsers)
    for name, arguments in commands:
        parsers[name](f"choreai {name}").parse_args(arguments.split())


@pytest.mark.parametrize(("name", "kind"), [("extract", ExtractConfig), ("tag", TagConfig)])
def test_what_a_job_file_has_commented_out_is_valid_too(tmp_path: Path, name, kind) -> None:
    text = (DEPLOY / f"{name}.toml").read_text()
    uncommented = re.sub(r"^# (?=\[|\w+ = )", "", text, flags=re.MULTILINE)
    assert uncommented.count("\n# ") < text.count("\n# ")
    (tmp_path / "job.toml").write_text(uncommented)
    config = load_config(kind, str(tmp_path / "job.toml"), {})
    assert config.max_hours == 6.0
    assert config.report.sns_topic_arn.startswith("arn:")


def test_alphapose_can_be_told_to_know_people_again(tmp_path: Path) -> None:
    text = (DEPLOY / "extract-alphapose.toml").read_text()
    (tmp_path / "job.toml").write_text(text.replace("# reid_checkpoint", "reid_checkpoint"))
    config = load_config(ExtractConfig, str(tmp_path / "job.toml"), {})
    assert config.pose.reid_checkpoint.endswith("/osnet_ain_x1_0.pth")
