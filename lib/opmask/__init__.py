"""Paper B, OPMask: its tables and figures, each in the file of that name.

What many functions are given: ``val`` or ``coco_set`` are the validation images, where pictures are
drawn opened with its images; ``models`` is what :func:`lib.opmask.predictions.read` returns, of all
or some variants; ``results`` is their mask AP by variant; ``claims`` has the paper's numbers;
``resamples`` and ``seed`` are those of the bootstrap over images, which draws the same images for
all models.
"""
