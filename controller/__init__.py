"""Tenet: tenant networks as flow rules on Open vSwitch."""
