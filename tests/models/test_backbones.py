"""Backbones: shapes, and weights of both conventions."""

from urllib.error import URLError

import pytest
import torch
from torch import nn
from torchvision.models import resnet50
from torchvision.ops import FrozenBatchNorm2d

from lib.models.backbones import load_weights, resnet_fpn
from lib.paths import find_data


def caffe_network(state: dict[str, torch.Tensor]) -> nn.Module:
    """The plain network of the Caffe family: BGR input, stride on the 1x1 convolution."""
    network = resnet50()
    for stage in (network.layer2, network.layer3, network.layer4):
        stage[0].conv1.stride, stage[0].conv2.stride = (2, 2), (1, 1)
    network.load_state_dict(state, strict=False)
    return network.eval()


def test_caffe_weights_give_what_their_own_network_gives_on_bgr_input(tmp_path):
    torch.manual_seed(0)
    state = {k: v.half() for k, v in resnet50().state_dict().items() if v.is_floating_point()}
    torch.save(state, tmp_path / "caffe.pth")
    pyramid = resnet_fpn(depth=50, style="caffe").eval()
    load_weights(pyramid, weights=str(tmp_path / "caffe.pth"), style="caffe", depth=50)
    rgb = torch.rand(1, 3, 64, 64)
    mean = torch.tensor(pyramid.image_mean)[:, None, None]
    std = torch.tensor(pyramid.image_std)[:, None, None]
    bgr = (rgb * 255).flip(1) - torch.tensor([103.063, 115.902, 123.152])[:, None, None]
    network = caffe_network({k: v.float() for k, v in state.items()})
    with torch.no_grad():
        ours = pyramid.body((rgb - mean) / std)["1"]
        x = network.maxpool(network.relu(network.bn1(network.conv1(bgr))))
        theirs = network.layer2(network.layer1(x))
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)


def test_weights_that_are_no_state_dict_of_this_network_are_refused(tmp_path):
    pyramid = resnet_fpn(depth=50)
    torch.save({"something": torch.zeros(3)}, tmp_path / "other.pth")
    (tmp_path / "text.pth").write_text("hello")
    with pytest.raises(ValueError, match="does not fit the backbone"):
        load_weights(pyramid, weights=str(tmp_path / "other.pth"), style="torchvision", depth=50)
    with pytest.raises(ValueError, match="could not be read"):
        load_weights(pyramid, weights=str(tmp_path / "text.pth"), style="torchvision", depth=50)
    with pytest.raises(FileNotFoundError, match="was not found"):
        load_weights(pyramid, weights="nowhere.pth", style="torchvision", depth=50)


@pytest.mark.photos
def test_shared_weights_file_fills_all_but_the_last_stage():
    try:
        path = find_data("../weights/resnet50_caffe_conv1_to_layer3.pth")
    except FileNotFoundError:
        pytest.skip("the weights file is not here")
    fresh = ("layer4",)
    pyramid = resnet_fpn(depth=50, style="caffe", fresh_stages=fresh)
    before = {k: v.clone() for k, v in pyramid.body.state_dict().items()}
    with pytest.raises(ValueError, match=r"lacks weights of layer4.*model\.fresh_stages"):
        load_weights(pyramid, weights=str(path), style="caffe", depth=50)
    load_weights(pyramid, weights=str(path), style="caffe", depth=50, fresh_stages=fresh)
    after = pyramid.body.state_dict()
    same = {k for k in before if "conv" in k and torch.equal(before[k], after[k])}
    assert same == {k for k in before if "conv" in k and k.startswith("layer4")}


def test_published_weights_in_a_data_folder_are_taken_without_a_connection(tmp_path, monkeypatch):
    monkeypatch.setenv("BOXES_TO_MASKS_DATA", str(tmp_path))
    published = tmp_path / "weights" / "resnet50-0676ba61.pth"
    published.parent.mkdir()
    torch.save(resnet50(weights=None).state_dict(), published)
    pyramid = resnet_fpn(depth=50)
    load_weights(pyramid, weights="imagenet", style="torchvision", depth=50)
    assert torch.equal(pyramid.body.conv1.weight, torch.load(published)["conv1.weight"])


def test_published_weights_that_cannot_be_had_are_a_sentence_with_what_to_do(tmp_path, monkeypatch):
    def unreachable(*_, **__):
        raise URLError("no route")

    monkeypatch.setenv("BOXES_TO_MASKS_DATA", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.urlopen", unreachable)
    wanted = r"no route.*lib\.data\.download weights.*weights/resnet101-63fe2227\.pth"
    with pytest.raises(ConnectionError, match=wanted):
        load_weights(resnet_fpn(depth=101), weights="imagenet", style="torchvision", depth=101)


def test_only_the_norm_layers_of_fresh_stages_learn():
    body = resnet_fpn(depth=50, fresh_stages=("layer4",)).body
    learning = {n for n, m in body.named_modules() if isinstance(m, nn.BatchNorm2d)}
    frozen = {n for n, m in body.named_modules() if isinstance(m, FrozenBatchNorm2d)}
    assert learning and all(n.startswith("layer4") for n in learning)
    assert frozen and not any(n.startswith("layer4") for n in frozen)
