"""The mistakes in a catalog that a person wrote, collected so that one error names the first of them all at once."""

from dataclasses import dataclass, field

from choreai.errors import CatalogError
from choreai.storage.uris import shorten

MAX_SHOWN = 20
MAX_COUNTED = 1000
"""Reading ends at so many: the file is not what it was taken for."""


@dataclass
class Mistakes:
    """The rows of one catalog that cannot be used."""

    uri: str
    _found: list[tuple[int, str, str]] = field(default_factory=list)  # place, where it is, what is wrong

    def add(self, place: int, where: str, problem: str) -> None:
        """Note a mistake at `place`, which `where` names. Raises CatalogError at the `MAX_COUNTED`th."""
        self._found.append((place, where, shorten(problem)))
        if len(self._found) >= MAX_COUNTED:
            self.raise_any()

    def raise_any(self) -> None:
        """Raise a CatalogError that lists the first `MAX_SHOWN` mistakes, if there are any."""
        if not self._found:
            return
        first = sorted(self._found, key=lambda mistake: mistake[0])[:MAX_SHOWN]
        if len(self._found) == 1:
            raise CatalogError(f"{self.uri}, {first[0][1]}: {first[0][2]}")
        more = len(self._found) - len(first)
        lines = [f"  {where}: {problem}" for _, where, problem in first] + ([f"  and {more} more"] if more else [])
        count = f"{MAX_COUNTED} or more" if len(self._found) >= MAX_COUNTED else len(self._found)
        raise CatalogError("\n".join([f"{self.uri}: {count} rows cannot be used; correct or remove them", *lines]))
