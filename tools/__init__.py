"""Builders of the embedded datasets `emoji` and `openclipart` from Debian packages; see tools/README.md."""
