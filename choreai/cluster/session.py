"""The connection to Ray: to the cluster a job was submitted to, one given by address, or a quiet local one."""

import logging
import os
import resource
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from choreai.cluster.limits import WORKER_ENVIRONMENT
from choreai.cluster.pool import WorkerResources
from choreai.errors import ChoreaiError, ConfigError, WorkerError
from choreai.storage.scratch import no_room_is_a_storage_error

_ending = threading.Lock()
_our_own: set[str] = set()
"""The id of the local Ray that `connect` has started, while it runs: its processes have WORKER_ENVIRONMENT."""
LOCAL_OBJECT_STORE_BYTES = 100_000_000
"""Ray carries only shard descriptions and reports here, so the smallest practical store will do."""


@dataclass(frozen=True)
class Session:
    """A connection to Ray."""

    can_grow: bool
    """Whether nodes may be added later: false for a local Ray of our own."""
    has_environment: bool = False
    """Whether its processes were started with WORKER_ENVIRONMENT, so that no worker need ask for it."""


def connect(address: str | None = None, *, num_gpus: int | None = None) -> Session:
    """Connect this process to Ray, unless it is connected already; `disconnect` ends the connection.

    `address` None: the cluster of RAY_ADDRESS (set by `ray job submit`), else a new local Ray. `num_gpus` is what a
    local one has, by default what it finds.
    Raises ConfigError if nothing answers there, WorkerError if a local one cannot start.
    """
    # Ray reads this at import; a batch job must not report usage from a customer's cluster.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    address = address or os.environ.get("RAY_ADDRESS") or "local"
    if ray.is_initialized():
        return _session(address)
    options: dict[str, object] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address == "local":
        options |= {"include_dashboard": False, "object_store_memory": LOCAL_OBJECT_STORE_BYTES, "num_gpus": num_gpus}
    on_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        # A worker that asks for an environment of its own waits for an agent, and cannot be one that Ray has started
        # ahead: two seconds a pool.
        with no_room_is_a_storage_error(), _environment(WORKER_ENVIRONMENT if address == "local" else {}):
            ray.init(address=address, **options)
    except ChoreaiError:
        raise
    except Exception as exc:
        raise (_not_started(exc) if address == "local" else _not_joined(address, exc)) from exc
    finally:
        if threading.current_thread() is threading.main_thread():  # Ray's own prints a stack of C++ and exits
            signal.signal(signal.SIGTERM, on_sigterm)
    if address == "local":
        _our_own.add(_cluster_id())
    return _session(address)


def _session(address: str) -> Session:
    return Session(can_grow=address != "local", has_environment=_cluster_id() in _our_own)


def _cluster_id() -> str:
    """Return what tells one Ray from another in this process: the folder of its session."""
    import ray

    return str(ray.get_runtime_context().get_session_name())


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Have these environment variables for a while, for processes that are started meanwhile."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _not_started(exc: Exception) -> ChoreaiError:
    """Return the error of a local Ray that does not come up; for most causes Ray raises a bare Exception."""
    if "AF_UNIX path length" in str(exc):
        return ConfigError(
            f"the folder for temporary files, {tempfile.gettempdir()}, has too long a name for Ray's sockets; set "
            "RAY_TMPDIR to a short one, such as /tmp"
        )
    reason = (str(exc).strip() or type(exc).__name__).splitlines()[0]
    open_files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return WorkerError(
        f"Ray cannot start on this machine ({reason}); it needs a writable folder for temporary files (RAY_TMPDIR), "
        f"free memory, and a few hundred open files (`ulimit -n`, now {open_files}); its logs are in "
        f"{os.environ.get('RAY_TMPDIR') or tempfile.gettempdir()}/ray/session_latest/logs"
    )


def _not_joined(address: str, exc: Exception) -> Exception:
    if isinstance(exc, ConnectionError):
        return ConfigError(
            f"no Ray cluster answers at {address!r} ({exc}); check the address, start one with `ray start --head`, "
            "or leave the address out to run locally"
        )
    if isinstance(exc, ValueError):
        return ConfigError(
            f"{address!r} is not the address of a Ray cluster ({exc}); give HOST:PORT, or leave it out to run locally"
        )
    reason = (str(exc).strip() or type(exc).__name__).splitlines()[0]
    return WorkerError(f"this machine cannot join the Ray cluster at {address!r} ({reason}); see its node's logs")


def is_connected() -> bool:
    """Return whether this process is connected to Ray."""
    if "ray" not in sys.modules:
        return False
    import ray

    return bool(ray.is_initialized())


def gpu_ids() -> tuple[str, ...]:
    """Return the GPUs that Ray assigned to this process; empty outside an actor or without GPUs."""
    import ray

    return tuple(str(gpu) for gpu in ray.get_gpu_ids()) if ray.is_initialized() else ()


def names_cluster(address: str | None) -> bool:
    """Return whether `connect` would join a cluster, and not start a Ray of its own."""
    return (address or os.environ.get("RAY_ADDRESS") or "local") != "local"


def disconnect() -> None:
    """End this process's connection to Ray, if there is one, and with it a local Ray."""
    if "ray" in sys.modules:
        import ray

        with _ending:
            ray.shutdown()


def disconnect_meanwhile() -> None:
    """End a local Ray of our own while this process goes on with what needs none: it takes a second or two."""
    if is_connected() and _cluster_id() in _our_own:
        threading.Thread(target=disconnect, name="end-ray").start()


def num_workers_for(session: Session, num_workers: int, *, resources: WorkerResources) -> int:
    """Return `num_workers`, or if that is 0 as many as the cluster can hold now, at least 1.

    Raises ConfigError if a local Ray can never hold one.
    """
    import ray

    have = ray.cluster_resources()
    needs = {"CPU": resources.num_cpus, "GPU": resources.num_gpus}
    largest = min((int(have.get(name, 0.0) / need + 1e-6) for name, need in needs.items() if need), default=1)
    if largest == 0 and not session.can_grow:
        raise ConfigError(
            f"a worker asks for {resources.num_cpus:g} CPUs and {resources.num_gpus:g} GPUs, but this machine has "
            f"{have.get('CPU', 0.0):g} and {have.get('GPU', 0.0):g}; lower num_cpus or num_gpus in [workers]"
        )
    return num_workers or max(1, largest)
