"""choreai: objective style tags for catalogs of dance videos, as distributed Ray jobs.

Importing the package imports neither Ray nor torch; each module loads what it needs.
"""

__version__ = "0.1.0"
