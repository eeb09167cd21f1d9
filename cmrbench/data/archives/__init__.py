"""The files of a source folder, members of zip and tar archives included, read without unpacking."""

from cmrbench.data.archives.safety import Limits
from cmrbench.data.archives.tree import SourceTree

__all__ = ["Limits", "SourceTree"]
