"""Sums of the pixels of a band of the output, next to each other in memory.

An input pixel adds to some output pixels, and there to everything that is summed: with all sums of
an output pixel in one vector of eight lanes, that is one multiplication and one addition.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from jwgpu.kernels.compiled import compiled, inlined

LANES = 8
OTHER, VARIANCES, WEIGHT, HIT, ADDED = 1, 2, 5, 6, 7
"""Lanes of the sums: the data come first; three of the roots of variances, the weight of all
images and of this one, and one that is above 0 where this image added with a positive weight."""


@intrinsic
def add_lanes(_: Any, totals: Any, target: Any, values: Any, source: Any, share: Any) -> Any:
    """Do ``totals[target] += share * values[source]``, (pixels, LANES) float32, in a vector."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = ir.VectorType(ir.FloatType(), LANES)
        lanes = []
        for place in (0, 2):
            array = context.make_array(signature.args[place])(context, builder, arguments[place])
            first = builder.mul(arguments[place + 1], ir.Constant(ir.IntType(64), LANES))
            pointer = builder.gep(array.data, [first])
            lanes.append(builder.bitcast(pointer, vector.as_pointer()))
        total, value = (builder.load(pointer, align=4) for pointer in lanes)
        undefined = ir.Constant(vector, ir.Undefined)
        one = builder.insert_element(undefined, arguments[4], ir.Constant(ir.IntType(32), 0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        shares = builder.shuffle_vector(one, undefined, zeros)
        total = builder.fadd(total, builder.fmul(shares, value))
        builder.store(total, lanes[0], align=4)
        return context.get_dummy_value()

    return types.void(totals, types.int64, values, types.int64, types.float32), generate


@compiled
def load_values(image: Any, level: Any, y: Any, x: Any, number: Any, values: Any) -> None:
    """Write what some pixels of a row add to each lane, for a share of 1.

    Parameters
    ----------
    image : tuple of 5 arrays, (y, x) float32
        Data, another image, and variances; those that are not there are empty.
    level : float32
        Of the sky.
    y, x, number : int
        Row, first column, pixels.
    values : array, (STRIP, LANES) float32
    """
    data = image[0][y, x:]
    for i in range(number):
        values[i, 0] = data[i] - level
    if image[1].size:
        other = image[1][y, x:]
        for i in range(number):
            values[i, OTHER] = other[i]
    for part in range(3):
        if image[2 + part].size:
            variance = image[2 + part][y, x:]
            for i in range(number):
                values[i, VARIANCES + part] = np.sqrt(variance[i])


@inlined
def weight_of_image(total: Any, hit: Any, time: Any) -> Any:
    """Return the weight of an image in a pixel where variances are averaged; 0 for none."""
    error = total / hit
    variance = error * error
    is_known = (variance > 0) & (variance < np.inf)
    inverse = np.float64(np.float32(1) / variance) if is_known else 0.0
    return time if time != 0 else inverse


@compiled
def open_band(first: Any, stop: Any, start: Any, width: Any, output: Any, totals: Any) -> None:
    """Take the sums of rows ``first:stop`` of the output, and of the columns from `start` on."""
    sums, weights = output[0], output[1]
    for y in range(first, stop):
        lanes = totals[(y - first) * width :]
        value, weight = sums[0, y, start:], weights[y, start:]
        for k in range(width):
            for lane in range(LANES):
                lanes[k, lane] = np.float32(0)
            lanes[k, 0], lanes[k, WEIGHT] = value[k], weight[k]
        if len(sums) > 1:
            other = sums[1, y, start:]
            for k in range(width):
                lanes[k, OTHER] = other[k]


@compiled
def close_band(
    first: Any, stop: Any, start: Any, width: Any, mask: Any, time: Any, output: Any, totals: Any
) -> None:
    """Give the sums back: the opposite of `open_band`, with what this image adds besides."""
    sums, weights, contexts, _, variances, variance_weights = output
    image_weight = np.empty(width)
    for y in range(first, stop):
        lanes = totals[(y - first) * width :]
        value, weight = sums[0, y, start:], weights[y, start:]
        for k in range(width):
            value[k], weight[k] = lanes[k, 0], lanes[k, WEIGHT]
        if len(sums) > 1:
            other = sums[1, y, start:]
            for k in range(width):
                other[k] = lanes[k, OTHER]
        if contexts.size:
            context = contexts[y, start:]
            for k in range(width):
                context[k] |= mask if lanes[k, ADDED] > 0 else np.int32(0)
        if not variances.size:
            continue
        for k in range(width):
            image_weight[k] = weight_of_image(lanes[k, VARIANCES], lanes[k, HIT], time)
        for part in range(3):
            variance = variances[part, y, start:]
            if not variance_weights.size:  # of one image alone
                for k in range(width):
                    error, hit = lanes[k, VARIANCES + part] / lanes[k, HIT], lanes[k, HIT]
                    square = error * error
                    counts = (image_weight[k] > 0) & (square >= 0) & (square < np.inf)
                    square = square if counts else np.float32(np.nan)
                    variance[k] = square if hit != 0 else variance[k]
                continue
            variance_weight = variance_weights[part, y, start:]
            for k in range(width):
                error = lanes[k, VARIANCES + part] / lanes[k, HIT]
                square, factor = error * error, image_weight[k]
                counts = (factor > 0) & (square >= 0) & (square < np.inf)
                share = np.float64(square) * factor * factor
                variance[k] = np.float32(np.float64(variance[k]) + (share if counts else 0.0))
                more = factor if counts else 0.0
                variance_weight[k] = np.float32(np.float64(variance_weight[k]) + more)


@compiled
def finish_rows(
    first: Any,
    stop: Any,
    sums: Any,
    weights: Any,
    variances: Any,
    variance_weights: Any,
    errors: Any,
    fill: Any,
    scaling: Any,
) -> None:
    """Turn the sums of rows ``first:stop`` into means, variances and errors."""
    n_x = weights.shape[1]
    for y in range(first, stop):
        for plane in range(len(sums)):
            for x in range(n_x):
                weight = weights[y, x]
                sums[plane, y, x] = sums[plane, y, x] / weight if weight != 0 else fill
        if not variances.size:
            continue
        for x in range(n_x):
            total, known = np.float32(0), False
            for part in range(3):
                exact = np.float64(variances[part, y, x]) * scaling
                if variance_weights.size:
                    weight = np.float64(variance_weights[part, y, x])
                    exact = exact / (weight * weight)
                elif weights[y, x] == 0:
                    exact = np.nan
                variance = np.float32(exact)
                variances[part, y, x] = variance
                is_known = variance == variance
                total += variance if is_known else np.float32(0)
                known |= is_known
            errors[y, x] = np.sqrt(total) if known else np.float32(np.nan)
