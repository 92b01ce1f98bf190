"""Ray's own autoscaler (version 2) on one machine: a head, and nodes that come as processes when work waits for them.

Ray has this for its own tests, as `AutoscalingCluster`; but that one ends every Ray process of the machine first.
"""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

HEAD_ID = "fffffffffffffffffffffffffffffffffffffffffffffffffff00000"  # the fake provider's name for the head
RAY = str(Path(sys.executable).parent / "ray")
Resources = dict[str, float]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class FakeAutoscalingCluster:
    """A head without any CPU for workers, and `node_types` of up to `max_workers` nodes each."""

    def __init__(
        self,
        folder: Path,
        node_types: dict[str, tuple[Resources, int]],
        *,
        idle_seconds: float,
        environment: dict[str, str],
        provider: str = "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider",
        labels: Mapping[str, dict[str, str]] | None = None,
    ) -> None:
        from ray._private.services import get_node_ip_address

        self._folder = folder
        host, port = get_node_ip_address(), free_port()
        self.address, dashboard = f"{host}:{port}", free_port()
        self.jobs_address = f"http://127.0.0.1:{dashboard}"
        config = folder / "autoscaling.json"
        config.write_text(json.dumps(_config(self.address, node_types, idle_seconds, provider, labels or {})))
        # Ray's sockets have names of at most 107 bytes.
        self._session = Path("/tmp") / f"rfa-{os.getpid()}-{port}"
        self.environment = {
            **os.environ, **environment, "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "RAY_ADDRESS": self.jobs_address,
        }  # fmt: skip
        own = {
            "RAY_FAKE_CLUSTER": "1", "AUTOSCALER_UPDATE_INTERVAL_S": "1", "RAY_enable_autoscaler_v2": "1",
            "RAY_CLOUD_INSTANCE_ID": HEAD_ID, "RAY_OVERRIDE_NODE_ID_FOR_TESTING": HEAD_ID,
            "RAY_health_check_initial_delay_ms": "1000", "RAY_health_check_period_ms": "1000",
            "RAY_health_check_timeout_ms": "1000", "RAY_health_check_failure_threshold": "3",
        }  # fmt: skip
        command = [
            RAY, "start", "--head", "--block", f"--port={port}", f"--node-ip-address={host}",
            f"--autoscaling-config={config}", f"--temp-dir={self._session}", "--num-cpus=0", "--num-gpus=0",
            "--object-store-memory=100000000", f"--dashboard-port={dashboard}",
            f"--ray-client-server-port={free_port()}", "--min-worker-port=0", "--max-worker-port=0",
            "--dashboard-agent-listen-port=0",
        ]  # fmt: skip
        head_environment = {name: value for name, value in self.environment.items() if name != "RAY_ADDRESS"} | own
        with (folder / "head.log").open("w") as log:
            self._head = subprocess.Popen(
                command, env=head_environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        self._wait_for_head()

    def _wait_for_head(self) -> None:
        deadline = time.monotonic() + 120
        while True:
            try:
                with urllib.request.urlopen(f"{self.jobs_address}/api/version", timeout=5):
                    return
            except (urllib.error.URLError, TimeoutError, ConnectionError) as exc:
                if self._head.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError((self._folder / "head.log").read_text()[-3000:]) from exc
                time.sleep(0.2)

    def processes(self) -> list[psutil.Process]:
        """Every process of this cluster: the head's family, and who else works in its session folder."""
        family = psutil.Process(self._head.pid).children(recursive=True) if self._head.poll() is None else []
        for process in psutil.process_iter(["cmdline"]):
            if any(str(self._session) in word for word in process.info["cmdline"] or []):
                family.append(process)
        return [process for process in dict.fromkeys(family) if process.pid != os.getpid()]

    def raylets(self) -> list[psutil.Process]:
        """The raylet of each node but the head."""
        found = []
        for process in self.processes():
            try:
                command = process.cmdline()
            except psutil.Error:
                continue
            if command and command[0].endswith("/raylet") and "--head" not in command:
                found.append(process)
        return found

    def stop(self) -> None:
        family = self.processes()
        for process in [psutil.Process(self._head.pid), *family] if self._head.poll() is None else family:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        self._head.wait()
        psutil.wait_procs(family, timeout=20)


def _config(
    address: str,
    node_types: dict[str, tuple[Resources, int]],
    idle_seconds: float,
    provider: str,
    labels: Mapping[str, dict[str, str]],
) -> dict[str, Any]:
    types = {
        name: {
            "resources": resources,
            "labels": labels.get(name, {}),
            "node_config": {},
            "min_workers": 0,
            "max_workers": max_workers,
        }
        for name, (resources, max_workers) in node_types.items()
    }
    empty: dict[str, Any] = {
        **{key: {} for key in ("file_mounts", "auth", "docker", "head_node", "worker_nodes")},
        **{key: [] for key in ("cluster_synced_files", "rsync_exclude", "rsync_filter", "initialization_commands")},
        **{key: [] for key in ("setup_commands", "head_setup_commands", "worker_setup_commands")},
        **{key: [] for key in ("head_start_ray_commands", "worker_start_ray_commands")},
    }
    return {
        **empty,
        "cluster_name": "fake",
        "max_workers": sum(num for _, num in node_types.values()),
        "upscaling_speed": 1.0,
        "idle_timeout_minutes": idle_seconds / 60,
        "file_mounts_sync_continuously": False,
        "provider": {
            "type": "external",
            "module": provider,
            "use_node_id_as_ip": True,
            "disable_node_updaters": True,
            "disable_launch_config_check": True,
            "gcs_address": address,
            "launch_multiple": True,
            "head_node_id": HEAD_ID,
        },
        "available_node_types": {
            **types,
            "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
        },
        "head_node_type": "ray.head.default",
    }
