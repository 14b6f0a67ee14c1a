"""From model to plan: features, the view they read through, the engine, the linker, the differ.

Owns the computation of what each switch should hold and what must change. Refuses to send
anything, to know the time, or to keep state that it could derive.
"""
