"""Packets: codecs and responders without I/O.

Owns the bytes of the protocols that tenants' machines speak. Parsers are total: any bytes give a
message or None, in time linear in their length, and nothing else. Every parser reads what a tenant
sent, so it believes no length and follows no offset. Responders are functions from a message and
values to a message.
"""
