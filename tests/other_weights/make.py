"""Writes convolution.safetensors: weights as PyTorch lays them out, and what such a network answers.

    pip install numpy safetensors && python make.py

The network, as PyTorch would name it: conv = Conv2d(2, 3, (3, 2)), relu, Flatten, fc = Linear(27, 4), on images of [2, 5, 4]. Its answers are computed here by
the definitions in PyTorch's documentation, in double precision; PyTorch 2.15 gives the same within 3e-7. All numbers are drawn by NumPy: the file is in the
public domain (CC0).
"""

import numpy
from safetensors.numpy import save_file

draw = numpy.random.default_rng(20).normal
conv_weight = draw(size=(3, 2, 3, 2)).astype(numpy.float16)  # [out, in, height, width]
conv_bias = draw(size=3).astype(numpy.float32)
fc_weight = (0.3 * draw(size=(4, 27))).astype(numpy.float64)  # [out, in]
fc_bias = draw(size=4).astype(numpy.float32)
x = draw(size=(6, 2, 5, 4)).astype(numpy.float32)  # [rows, channels, height, width]

hidden = numpy.zeros((6, 3, 3, 3))
for row in range(6):
    for channel in range(3):
        for i in range(3):
            for j in range(3):
                window = x[row, :, i : i + 3, j : j + 2].astype(numpy.float64)
                hidden[row, channel, i, j] = (window * conv_weight[channel]).sum() + conv_bias[channel]
flat = numpy.maximum(hidden, 0).reshape(6, 27)
answers = flat @ fc_weight.T + fc_bias

tensors = {
    "conv.weight": conv_weight,
    "conv.bias": conv_bias,
    "fc.weight": fc_weight,
    "fc.bias": fc_bias,
    "bn.num_batches_tracked": numpy.array(7, dtype=numpy.int64),
    # channels last, as Bayeslift takes images
    "x": numpy.ascontiguousarray(x.transpose(0, 2, 3, 1)),
    "answers": answers.astype(numpy.float32),
}
save_file(tensors, "convolution.safetensors", metadata={"format": "pt"})
