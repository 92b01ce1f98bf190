"""The log of a training while it runs: a CSV file, TensorBoard's events, or a run of MLflow.

Only the networks of the model itself are logged, not those that it is compared with. A training that was resumed logs
the epochs of before at its end.
"""

import csv
import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Protocol

from choreai import __version__
from choreai.errors import ConfigError
from choreai.storage import objects
from choreai.style.history import EpochResult

LogKind = Literal["csv", "tensorboard", "mlflow"]
LOG_KINDS: tuple[LogKind, ...] = ("csv", "tensorboard", "mlflow")
_LIBRARIES = {"tensorboard": ("tensorboardX", "tensorboardX"), "mlflow": ("mlflow", "mlflow-skinny")}
"""By kind its module, and what pip calls it."""
EXPERIMENT = "choreai"


class RunLog(Protocol):
    """Where the log of a training goes."""

    where: str
    """What a person opens, or how."""

    def epoch(self, result: EpochResult) -> None:
        """Log an epoch; one that is logged already is passed over."""
        ...

    def finish(self, history: Iterable[EpochResult], figures: Mapping[str, float], *, about: Mapping[str, str]) -> None:
        """Log what `epoch` was not told of, and the model's figures; `about`: its version and where it is."""
        ...

    def fail(self) -> None:
        """Close the log of a training that ended early."""
        ...


def check_log(kind: LogKind, output: str) -> None:
    """Raise ConfigError where the log's library is not installed, or cannot write to the output."""
    module, package = _LIBRARIES.get(kind, ("", ""))
    if module and not _is_there(module):
        raise ConfigError(
            f"--log {kind} needs {package}; `pip install {package}` installs it, and --log csv needs nothing"
        )
    if kind == "tensorboard" and "://" in output:
        raise ConfigError(f"--log tensorboard writes to a folder, and {output} is none; --log csv writes anywhere")


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ValueError:  # there is a name without a module
        return False


def open_log(kind: LogKind, *, output: str, run_id: str, settings: Mapping[str, Any]) -> RunLog:
    """Return a log of a training with these settings, under `output`/training/logs or, of MLflow, where its own
    variables of the environment say. Raises ConfigError as `check_log` does."""
    check_log(kind, output)
    folder = objects.join_uri(output, "training", "logs")
    if kind == "csv":
        return CsvLog(objects.join_uri(folder, f"{run_id}.csv"), settings)
    return TensorBoardLog(Path(folder, run_id), settings) if kind == "tensorboard" else MlflowLog(run_id, settings)


class _Once:
    """Passes over epochs that were told before."""

    def __init__(self, write: Callable[[EpochResult], None]) -> None:
        self._write = write
        self._seen: set[tuple[int, int]] = set()

    def __call__(self, result: EpochResult) -> None:
        if (result.member, result.epoch) not in self._seen:
            self._seen.add((result.member, result.epoch))
            self._write(result)


class CsvLog:
    """A CSV file, written anew after each epoch: a row an epoch of a network, settings above the head."""

    def __init__(self, uri: str, settings: Mapping[str, Any]) -> None:
        self.where = uri
        self._head = {"written by": f"choreai {__version__}", "seed": settings.get("seed"), "settings": dict(settings)}
        self._rows: list[EpochResult] = []
        self._once = _Once(self._rows.append)

    def epoch(self, result: EpochResult) -> None:
        self._once(result)
        self._put({})

    def finish(self, history: Iterable[EpochResult], figures: Mapping[str, float], *, about: Mapping[str, str]) -> None:
        for result in history:
            self._once(result)
        self._put({**about, **figures})

    def fail(self) -> None:
        self._put({"ended": "early"})

    def _put(self, more: Mapping[str, object]) -> None:
        sink = io.StringIO(newline="")
        sink.writelines(f"# {name}: {value}\n" for name, value in {**self._head, **more}.items())
        writer = csv.DictWriter(sink, [field.name for field in fields(EpochResult)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(each) for each in sorted(self._rows, key=lambda each: (each.member, each.epoch)))
        objects.put_object(self.where, sink.getvalue().encode())


class TensorBoardLog:
    """Events for TensorBoard, the networks in the same charts."""

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        from tensorboardX import SummaryWriter

        self.where = f"tensorboard --logdir {folder}"
        self._writer = SummaryWriter(str(folder))
        self._writer.add_text("settings", "\n".join(f"- {name}: {value}" for name, value in settings.items()))
        self._once = _Once(self._add)

    def epoch(self, result: EpochResult) -> None:
        self._once(result)

    def finish(self, history: Iterable[EpochResult], figures: Mapping[str, float], *, about: Mapping[str, str]) -> None:
        for result in history:
            self._once(result)
        for name, value in figures.items():
            self._writer.add_scalar(f"model/{name}", value)
        self._writer.add_text("about", "\n".join(f"- {name}: {value}" for name, value in about.items()))
        self._writer.close()

    def fail(self) -> None:
        self._writer.close()

    def _add(self, result: EpochResult) -> None:
        for name, value in _measured(result).items():
            self._writer.add_scalar(f"{name}/network_{result.member + 1}", value, result.epoch)
        self._writer.flush()


class MlflowLog:
    """A run of MLflow, where MLFLOW_TRACKING_URI and MLFLOW_EXPERIMENT_NAME say."""

    def __init__(self, run_id: str, settings: Mapping[str, Any]) -> None:
        import os

        import mlflow

        self._mlflow = mlflow
        if "MLFLOW_EXPERIMENT_NAME" not in os.environ and "MLFLOW_EXPERIMENT_ID" not in os.environ:
            mlflow.set_experiment(EXPERIMENT)
        run = mlflow.start_run(run_name=run_id)
        mlflow.log_params(dict(settings))
        mlflow.set_tag("choreai_version", __version__)
        self.where = f"{mlflow.get_tracking_uri()}, run {run.info.run_id}"
        self._once = _Once(self._add)

    def epoch(self, result: EpochResult) -> None:
        self._once(result)

    def finish(self, history: Iterable[EpochResult], figures: Mapping[str, float], *, about: Mapping[str, str]) -> None:
        for result in history:
            self._once(result)
        self._mlflow.log_metrics(dict(figures))
        self._mlflow.set_tags(dict(about))
        self._mlflow.end_run()

    def fail(self) -> None:
        self._mlflow.end_run("FAILED")

    def _add(self, result: EpochResult) -> None:
        named = {f"network_{result.member + 1}.{name}": value for name, value in _measured(result).items()}
        self._mlflow.log_metrics(named, step=result.epoch)


def _measured(result: EpochResult) -> dict[str, float]:
    """Return what an epoch came to, without what was not measured."""
    values = {name: value for name, value in asdict(result).items() if name not in ("member", "epoch")}
    return {name: value for name, value in values.items() if value is not None}
