"""Check that a store honours conditional writes, on which "done means written once" rests."""

from choreai.errors import StorageError
from choreai.storage import objects
from choreai.storage.uris import StoreLocation, parse_uri

PROBE = "choreai-write-check"
"""The object under a job's output that is written twice, if at all: by the first job, and never again."""


def check_conditional_writes(root: str) -> None:
    """Raise StorageError if the store under `root` lets a second writer overwrite what the first one wrote.

    One PUT that must not succeed, to an object that is there; a file system needs none, since links never replace.
    """
    if not isinstance(parse_uri(root), StoreLocation):
        return
    uri = objects.join_uri(root, PROBE)
    if objects.put_if_absent(uri, b"1") and objects.put_if_absent(uri, b"2"):
        raise StorageError(
            uri,
            "this store ignores `If-None-Match: *` and let a second write replace the first, so two workers could "
            "overwrite each other's results; use AWS S3, or another store or release that supports conditional writes",
        )
