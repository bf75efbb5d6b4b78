"""Seeds: one base seed, everything else derived from it and a stable name.

A derived seed depends on what it is for (an annotation id, an iteration, a picture), never on the
order of work, so the number of workers or machines cannot change a result.
"""

import hashlib


def derive(seed: int, *names: int | str) -> int:
    """Return a seed in [0, 2**31) that depends on ``seed`` and every one of ``names``."""
    text = "\x1f".join([str(int(seed)), *(f"{type(n).__name__}:{n}" for n in names)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) % 2**31
