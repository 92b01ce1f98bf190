"""Files of a store as pyarrow writes them: obstore takes bytes, and pyarrow gives buffers of other kinds too."""

from typing import Any

import pyarrow as pa
from pyarrow.fs import FSSpecHandler


class CloudHandler(FSSpecHandler):
    """pyarrow's own handler, but for what it writes."""

    def open_output_stream(self, path: str, metadata: Any) -> Any:
        """Return a file that takes buffers of any kind."""
        del metadata
        return pa.PythonFile(_AnyBuffer(self.fs.open(path, mode="wb")), mode="w")


class _AnyBuffer:
    """A file that is given bytes, whatever it is to write."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def write(self, data: Any) -> int:
        taken = bytes(data)
        self._file.write(taken)
        return len(taken)

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    @property
    def closed(self) -> bool:
        return bool(self._file.closed)
