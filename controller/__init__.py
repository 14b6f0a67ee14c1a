"""Tenet: tenant networks as flow rules on Open vSwitch."""

__version__ = "0.1.0"
