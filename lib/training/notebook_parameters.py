"""What both training notebooks are told: the model, its training and its inference.

The lines are part of the notebooks' parameters cells (:mod:`lib.runner.parameters`).
"""

from typing import Literal

train_init: str = "04_train_hybrid.detector"  # step to start from; empty: model.weights
model_backbone: Literal["lite0", "resnet50", "resnet101"] = "lite0"  # features
model_weights: str = "imagenet"  # imagenet (lite0: at hand), none, or a file of ResNet weights
model_weights_style: Literal["torchvision", "caffe"] = "torchvision"  # what the file expects
model_fresh_stages: list[str] = []  # stages that the file lacks, such as layer4: they start random
model_trainable_stages: int = 0  # of a pre-trained backbone's five stages, how many learn
model_frozen_parts: list[Literal["fpn", "rpn"]] = []  # what of the detector does not learn either
model_fpn_channels: int = 96  # channels of the feature pyramid
model_box_head: Literal["conv", "fc"] = "conv"  # convolutions, or Mask R-CNN's two layers
model_box_channels: list[int] = [64, 64, 64, 128]  # the box head's four convolutions
model_predictor_std: float = 0.2  # spread of the initial classification weights
model_mask_per_class: bool = False  # one mask per class, as Mask R-CNN, or one for all
model_mask_channels: int = 64  # channels of the mask head
model_mask_layers: int = 4  # convolutions of the mask head; paper B has seven
model_norm: Literal["bn", "syncbn", "gn", "none"] = "bn"  # normalisation in both heads
model_anchor_sizes: list[int] = [24, 48, 96, 192]  # per level, in pixels; ResNets have five
model_min_size: list[int] = [240]  # shorter side after resizing; drawn per training image
model_max_size: int = 320  # limit of its longer side
model_rpn_proposals: int = 100  # proposals kept per image
model_rois_per_image: int = 32  # RoIs sampled per training image
model_score_threshold: float = 0.05  # detections with a lower score are dropped
model_detections_per_image: int = 30  # at most this many are kept
train_iterations: int = 320  # optimiser steps
train_batch_size: int = 4  # images per step
train_images_per_device: int | None = None  # images of each GPU: more GPUs, a larger batch
train_optimizer: Literal["sgd", "adamw"] = "adamw"  # the paper: sgd, on a long schedule
train_learning_rate: float = 0.001  # after warm-up
train_warmup: int = 30  # steps of linear warm-up
train_steps: list[int] = [224, 288]  # iterations at which the rate falls to a tenth
train_weight_decay: float = 0.01  # decoupled for adamw
train_clip_value: float | None = None  # element-wise clipping of gradients (the paper: 1)
train_clip_norm: float | None = 5.0  # clipping of the gradient's norm
train_flip: bool = True  # mirror half of the training images
train_amp: Literal["auto", "none"] = "auto"  # mixed precision on a GPU
train_device: Literal["auto", "cpu", "cuda"] = "auto"  # auto: a GPU if there is one
train_workers: int = 0  # processes that load images
train_seed: int = 0  # everything random derives from it and train.repeat
train_repeat: int = 0  # which repetition of the training this is, from 0; the runner sets it
train_maps_gib: float = 8.0  # most disk for maps of a frozen backbone, in GiB; 0 keeps none
train_checkpoint_every: int = 200  # steps between checkpoints
train_log_every: int = 20  # steps between lines of the log
predict_batch_size: int = 8  # images per step of the inference
