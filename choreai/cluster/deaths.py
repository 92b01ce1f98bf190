"""How a worker died, from Ray's long messages: in the words of a log line and a quarantine row."""

from ray.exceptions import OutOfMemoryError

SHORT_OF_MEMORY = (
    "its node ran short of memory, and Ray ended the worker; lower num_workers, give each worker more of the node "
    "(num_cpus in [workers]), or let a video take less (max_video_gib)"
)
"""Ray ends workers at 95 % of a node's memory, the one that began last first."""


def is_short_of_memory(exc: BaseException) -> bool:
    """Return whether Ray ended the worker because its node ran short of memory."""
    return isinstance(exc, OutOfMemoryError) or "node running low on memory" in _told(exc)


def cause_of_death(exc: BaseException) -> str:
    """Return how the process ended, without the list of common causes, of which memory is only one."""
    if is_short_of_memory(exc):
        return SHORT_OF_MEMORY
    told = _told(exc)
    _, _, ending = told.partition("Worker exit type: ")
    if "connection error code 2" in told:
        return "its process ended at once, by SIGKILL or a crash; `dmesg` tells whether the kernel was out of memory"
    return (ending or told)[:300] or type(exc).__name__


def _told(exc: BaseException) -> str:
    return " ".join(str(exc).split()).partition(" Some common causes")[0]
