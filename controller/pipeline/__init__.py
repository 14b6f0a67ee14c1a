"""The switch language: fields, tables, rules, groups, meters, cookies.

Owns the vocabulary in which features speak of a switch, and the one page (`layout`) that shows
every table in order. Refuses any knowledge of networks or ports, of OpenFlow's encoding, and of
time or sockets: everything here is a plain comparable value.
"""
