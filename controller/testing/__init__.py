"""The public test kit: packets, a switch, a fabric of switches, and the oracle.

Owns what a test needs to ask the product questions without a switch and without root. The oracle
knows the model and no tables; the switch knows tables and no model; tests make them agree.
"""
