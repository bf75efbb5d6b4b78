"""Runs the study's notebooks: what changed, in the order of their needs, side by side.

- the command line: ``cli``, ``preview`` (its plan), ``problems`` (its mistakes), ``folders``
- parameters: ``steps``, ``parameters`` (a notebook's cell), ``profiles``, ``resolve``,
  ``repetitions`` (seeds); ``setup`` checks them all
- what is up to date: ``fingerprint``, ``stamps``, ``plan``
- execution: ``execute``, ``places``, ``machine``, ``jobs``, ``notebook``; on a cluster ``remote``,
  ``worker``
- records: ``executed`` (notebooks), ``provenance``, ``own_runs``, ``left_out``
"""
