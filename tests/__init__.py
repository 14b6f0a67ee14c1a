"""Tests. A package, so that its own modules are found before any other `tests`."""
