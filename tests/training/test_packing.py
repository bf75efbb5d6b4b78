"""Batches as a few flat tensors."""

import pickle

import torch
from torch.utils.data import DataLoader

from lib.training.config import TrainConfig
from lib.training.dataset import TrainingSet
from lib.training.packing import PackedBatch, pack
from lib.training.supervision import supervision_of
from tests.fixtures.training import tiny_run


def samples(coco, folder) -> TrainingSet:
    config: TrainConfig = tiny_run(folder)
    return TrainingSet(coco, supervision=supervision_of(config, coco), flip=True, seed=0)


def assert_same(batch: PackedBatch, plain: list) -> None:
    images, targets = batch.unpack()
    assert len(images) == len(targets) == len(plain)
    for image, target, (picture, truth) in zip(images, targets, plain, strict=True):
        assert torch.equal(image, picture) and target.keys() == truth.keys()
        for name, value in truth.items():
            if isinstance(value, torch.Tensor):
                found = target[name]
                assert found.dtype == value.dtype and found.shape == value.shape
                assert torch.equal(found, value)
            else:
                assert target[name] == value


def test_what_was_packed_comes_out_as_it_was(drawn, tmp_path):
    plain = [samples(drawn, tmp_path)[i, i] for i in range(len(drawn.images))]  # one has no object
    batch = pack(plain)
    assert_same(batch, plain)
    assert_same(batch.to(torch.device("cpu")), plain)
    assert_same(pickle.loads(pickle.dumps(batch)), plain)
    assert len(batch.flat) == len({x.dtype for s in plain for x in (s[0], *s[1].values())
                                   if isinstance(x, torch.Tensor)})  # fmt: skip


def test_a_loader_process_can_pack(drawn, tmp_path):
    data = samples(drawn, tmp_path)
    keys = [[(0, 0), (1, 1)], [(2, 2), (3, 3)]]
    loader = DataLoader(data, batch_sampler=keys, collate_fn=pack, num_workers=1)
    for batch, indices in zip(loader, keys, strict=True):
        assert_same(batch, [data[key] for key in indices])
