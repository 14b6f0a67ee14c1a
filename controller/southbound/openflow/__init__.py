"""OpenFlow 1.3 with Nicira's extensions: codec, session and listener of our own.

Owns every byte exchanged with a switch. `carriers`, `verbs` and `items` turn the pipeline's values
into bytes and back; `messages` reads everything else that a switch may say; `session` is the
conversation without sockets; `listener` is the only module that touches them.
"""
