"""``python -m lib.data.download coco voc sbd weights [--to DIR]``."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from lib.data.download.acquire import AcquireError, acquire, places
from lib.data.download.catalogue import CATALOGUE, Collection
from lib.data.voc import SIZES, convert
from lib.files import explain
from lib.paths import DATA_VARIABLE, ROOT, data_folders


def main(
    arguments: Sequence[str] | None = None,
    *,
    catalogue: Mapping[str, Collection] = CATALOGUE,
    sizes: Mapping[str, int] = SIZES,
) -> int:
    """Run the command line; problems that a user can mend are sentences and exit code 2.

    Args:
        arguments: of the command line.
        catalogue: what there is to fetch.
        sizes: images of VOC's sets.
    """
    parser = argparse.ArgumentParser(
        prog="python -m lib.data.download",
        description="Fetch, verify and unpack the real sets. Run again, it continues, and does "
        "nothing once all is there.",
        epilog="VOC and SBD together become one COCO-format set: voc2012/annotations/train.json "
        "(10,582 images) and val.json (1,449).",
    )
    add = parser.add_argument
    titles = " | ".join(f"{name}: {c.title}" for name, c in catalogue.items())
    add("names", nargs="+", choices=list(catalogue), metavar="NAME", help=titles)
    folder = "the data folder (default: data/ in the repository)"
    add("--to", type=Path, default=ROOT / "data", metavar="DIR", help=folder)
    where = "fetch nothing, say what to put where by hand: for machines without a network"
    add("--where", action="store_true", help=where)
    add("--workers", type=int, default=0, help="processes that convert labels, 0 for all cores")
    options = parser.parse_args(arguments)
    to = options.to.expanduser().absolute()
    wanted = [catalogue[name] for name in dict.fromkeys(options.names)]
    if options.where:
        print(places(wanted, to))
        return 0
    try:
        acquire(wanted, to)
        if {"voc", "sbd"} & set(options.names):
            print(convert(to / catalogue["voc"].folder, workers=options.workers, sizes=sizes))
    except (AcquireError, ValueError, OSError) as error:
        print(f"error: {explain(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; run the same command again, and it continues", file=sys.stderr)
        return 130
    if to.resolve() not in (folder.resolve() for folder in data_folders()):
        print(f"The study looks for sets there if {DATA_VARIABLE}={to} is set.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
