"""What there is to fetch: addresses, sizes, digests, and which parts of the archives are wanted.

Sizes and MD5 sums of COCO 2017, PASCAL VOC 2012 and SBD are those under which the publishers'
archives are generally known. torchvision's weights carry the beginning of their SHA-256 in their
names.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Member:
    """A part of an archive.

    Attributes:
        source: its path in the archive; of a folder it ends with a slash.
        target: its path in the set's folder.
        files: how many files the folder holds, where that is known; 0 is any number.
    """

    source: str
    target: str
    files: int = 0


@dataclass(frozen=True, kw_only=True)
class Remote:
    """A file to fetch.

    Attributes:
        name: under which it is kept while it is fetched.
        urls: where it is; the first that answers is taken.
        size: its bytes.
        digest: algorithm and digest, or a digest's beginning: ``md5:6cd6...``.
        members: which parts are unpacked, and where to; none: the file itself is what is wanted.
        unpacked: about how many bytes the parts have.
        exact: whether ``size`` is the publisher's number; otherwise the digest alone decides.
    """

    name: str
    urls: tuple[str, ...]
    size: int
    digest: str
    members: tuple[Member, ...] = ()
    unpacked: int = 0
    exact: bool = True


@dataclass(frozen=True, kw_only=True)
class Collection:
    """What one name on the command line stands for.

    Attributes:
        title: as people call it.
        folder: below the data folder.
        remotes: its files.
    """

    title: str
    folder: str
    remotes: tuple[Remote, ...]


_VOC = "VOCdevkit/VOC2012"
_SBD = "benchmark_RELEASE/dataset"
_WEIGHTS = "https://download.pytorch.org/models"


def _coco(folder: str, name: str, size: int, md5: str, *members: Member, unpacked: int) -> Remote:
    """Return a file of COCO's site, which is a bucket at Amazon too."""
    place = f"images.cocodataset.org/{folder}/{name}"
    return Remote(
        name=name,
        urls=(f"http://{place}", f"https://s3.amazonaws.com/{place}"),
        size=size,
        digest=f"md5:{md5}",
        members=members,
        unpacked=unpacked,
    )


CATALOGUE: Mapping[str, Collection] = {
    "coco": Collection(
        title="COCO 2017",
        folder="coco2017",
        remotes=(
            _coco(
                "annotations",
                "annotations_trainval2017.zip",
                252_907_541,
                "f4bbac642086de4f52a3fdda2de5fa2c",
                *(
                    Member(f"annotations/{name}", f"annotations/{name}")
                    for name in ("instances_train2017.json", "instances_val2017.json")
                ),
                unpacked=500_000_000,
            ),
            _coco(
                "zips",
                "val2017.zip",
                815_585_330,
                "442b8da7639aecaf257c1dceb8ba8c80",
                Member("val2017/", "val2017", files=5_000),
                unpacked=820_000_000,
            ),
            _coco(
                "zips",
                "train2017.zip",
                19_336_861_798,
                "cced6f7f71b7629ddf16f17bbcfab6b2",
                Member("train2017/", "train2017", files=118_287),
                unpacked=19_500_000_000,
            ),
        ),
    ),
    "voc": Collection(
        title="PASCAL VOC 2012",
        folder="voc2012",
        remotes=(
            Remote(
                name="VOCtrainval_11-May-2012.tar",
                urls=tuple(
                    f"{host}/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar"
                    for host in ("http://host.robots.ox.ac.uk", "https://thor.robots.ox.ac.uk")
                ),
                size=1_999_639_040,
                digest="md5:6cd6e144f989b92b3379bac3b3de84fd",
                members=tuple(
                    Member(f"{_VOC}/{name}/", name)
                    for name in (
                        *("JPEGImages", "Annotations", "SegmentationClass", "SegmentationObject"),
                        "ImageSets/Segmentation",
                    )
                ),
                unpacked=2_000_000_000,
            ),
        ),
    ),
    "sbd": Collection(
        title="SBD",
        folder="voc2012",
        remotes=(
            Remote(
                name="benchmark.tgz",
                urls=tuple(
                    f"{host}/Research/Projects/CS/vision/grouping/semantic_contours/benchmark.tgz"
                    for host in ("https://www2.eecs.berkeley.edu", "http://www.eecs.berkeley.edu")
                ),
                size=1_419_539_633,
                digest="md5:82b4d87ceb2ed10f6038a1cba92111cb",
                members=(
                    Member(f"{_SBD}/inst/", "sbd/inst"),
                    Member(f"{_SBD}/train.txt", "sbd/train.txt"),
                    Member(f"{_SBD}/val.txt", "sbd/val.txt"),
                ),
                unpacked=200_000_000,
            ),
        ),
    ),
    "weights": Collection(
        title="torchvision's ImageNet weights",
        folder="weights",
        remotes=(
            Remote(
                name="resnet50-0676ba61.pth",
                urls=(f"{_WEIGHTS}/resnet50-0676ba61.pth",),
                size=102_530_333,
                digest="sha256:0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a",
            ),
            Remote(
                name="resnet101-63fe2227.pth",
                urls=(f"{_WEIGHTS}/resnet101-63fe2227.pth",),
                size=178_800_000,
                digest="sha256:63fe2227",
                exact=False,
            ),
        ),
    ),
}
"""What the command line offers. VOC and SBD are one set: SBD labels further images of VOC."""
