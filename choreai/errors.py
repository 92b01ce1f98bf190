"""The errors of choreai: one class for each way in which a caller reacts.

    ChoreaiError
      ConfigError    the job file or a flag is wrong      stop before the cluster starts, exit 2
      CatalogError   a catalog row or column is wrong     stop before any work, exit 2
      MediaError     one video cannot be used             quarantine row, go on
      StorageError   the store refused, after retries     stop, exit 1; running again resumes
        StoreUnavailableError  no answer for minutes, or credentials refused: no video's fault, stop at once
          NoCredentialsError   none are set              wrong input for a command, exit 2
        ObjectMissingError   no object here               as a video: quarantine row, go on
        ObjectUnusableError  archived, a folder, ...      as a video: quarantine row, go on
          ObjectForbiddenError  one object refused        the same, if the store gives others
      WeightsError   weights do not fit or are not ours   stop, exit 2
      WorkerError    workers end before they are ready  stop, exit 1; running again resumes
      TableError     a table's schema or content differs  stop, exit 2
        DamagedPartError  one part cannot be read         its videos are left for another run, go on

Every message says what is wrong, which value, and what to do. Constructors pass their own arguments to
`super().__init__`, so that an error can be pickled and travel through Ray.
"""


class ChoreaiWarning(UserWarning):
    """Something was counted or skipped that a careful user may want to know."""


class ChoreaiError(Exception):
    """The root of the tree above."""


class ConfigError(ChoreaiError):
    """A setting is wrong; raised before any cluster does work."""


class CatalogError(ChoreaiError):
    """A catalog, its columns or one of its rows is wrong; raised before any work."""


class MediaError(ChoreaiError):
    """One video cannot be used; `uri` names it and `reason` says why."""

    def __init__(self, uri: str, reason: str) -> None:
        super().__init__(uri, reason)
        self.uri = uri
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.uri}: {self.reason}"


class StorageError(ChoreaiError):
    """The store refused or failed, after the client's own retries; `uri` and `reason` say where and why."""

    def __init__(self, uri: str, reason: str) -> None:
        super().__init__(uri, reason)
        self.uri = uri
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.uri}: {self.reason}"


class StoreUnavailableError(StorageError):
    """The store answers nobody (down, overloaded for minutes) or no longer this caller (credentials refused)."""


class NoCredentialsError(StoreUnavailableError):
    """Nothing says who asks: there are no credentials for this store at all."""


class ObjectMissingError(StorageError):
    """No object at this URI."""


class ObjectUnusableError(StorageError):
    """This one object cannot be used (forbidden, a folder, a name too long); others may well be."""


class ObjectForbiddenError(ObjectUnusableError):
    """The store refuses this object to these credentials."""


class WeightsError(ChoreaiError):
    """Model weights do not fit the network, or are not a file this project would open."""


class WorkerError(ChoreaiError):
    """Worker after worker hangs or ends before it is ready: the nodes are at fault, and no shard is."""


class TableError(ChoreaiError):
    """A Parquet table's schema, version or content is not what the job can use."""


class DamagedPartError(TableError):
    """The bytes of one part are damaged; the message says what to delete, and what is then done again."""
