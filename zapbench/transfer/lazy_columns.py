"""Steps of Adam, AdamW or momentum on a head, where each column is updated lazily and once for a whole gap.

The gradient of a step is the error times the image's features, and after a ReLU half or more of the features are 0.
Where feature j is 0, column j of the head has no gradient and does not affect the logits, so that its update is
deferred to the next image in which feature j is not 0. Let m and v be the moments of a weight after a step with a
gradient, r = sqrt(v), and f_k eps with the bias correction of the k-th step after it. That step and the gap after it
change the weight by

    sum over k of rate_k beta1^k m / (beta2^(k/2) r + f_k)  =  m / (r + f_0) * sum over k of c_k / (1 + e_k s)

with s = f_0 / (r + f_0) in [0, 1], c_k = rate_k beta1^k beta2^(-k/2) and e_k = f_k / f_0 beta2^(-k/2) - 1, which is
small. So the sum is a polynomial of degree 3 in s, whose coefficients all weights of all columns in the same gap share:
one square root and one division per weight replace those of every step. A gap is cut where a term of degree 4 would be
above rounding. The result equals the optimiser's, step by step, up to rounding.

Subnormal numbers would take most of the time: an output that is all but certain to be wrong has errors of 1e-22, whose
squares are subnormal in float32. So a gradient counts as at least `least` in the second moment, which is too little to
change r + f_0, and an error below the smallest normal number over the precision counts as 0.

Arrays: `state` (parts, features + 1, 3, outputs of a part) has a weight, its first and its second moment (momentum has
no second). The last feature is the bias, which is always 1. Parts are computed by one thread each, where there is more
than one. The results do not depend on the number of parts, bit for bit.
"""

import numpy as np
from numba import prange

from zapbench.networks.kernels import compiled

LONGEST = 256
"""Steps after which every column is updated: it bounds the number of errors kept and the size of tables."""

LANES = 16
"""The outputs of a part are a multiple of it, so that loops over them have no remainder."""

TERMS = 4
"""Coefficients of the polynomial of a gap."""


@compiled
def _add_step(terms, until, at, base, step, start, schedule, powers, tiny):  # type: ignore[no-untyped-def]
    """Adds step `step` to the coefficients `terms[at]` of a gap that begins at `base`; returns whether it could.

    Args:
        terms: coefficients of all gaps `(gaps, 4)`.
        until: for each gap, the first step that is not in its coefficients.
        at: index of the gap.
        base: the gap's first step, counted from `start`, as `step` is.
        step: the step to add.
        start: number of steps before these.
        schedule: see `fast_adam._tables`; so are `powers`.
        powers: see there.
        tiny: the largest term of degree 4, relative to the constant term, that is left out.
    """
    k = step - base
    floor = schedule[1, start + base]
    term = schedule[0, start + step] * powers[0, k] / powers[2, k]
    e = schedule[1, start + step] / (floor * powers[2, k]) - 1 if floor > 0 else 0.0
    if k > 0 and not term * e * e * e * e <= tiny * terms[at, 0]:
        return False
    for degree in range(TERMS):
        terms[at, degree] = powers[3, 1] * terms[at, degree] + term
        term *= -e
    until[at] = step + 1
    return True


@compiled
def _update(state, j, errors, row, x, others, terms, at, floor, count, powers, logits, value):  # type: ignore[no-untyped-def]
    """Updates column `j` by a gap of `count` steps, the first with gradient `errors[row] * x`; adds it to the logits.

    Args:
        state: see the module, of one part.
        j: index of the column.
        errors: of all steps `(steps, outputs)`.
        row: the step with a gradient.
        x: the feature in that step; 0 where it has no gradient.
        others: `1 - beta1`, `1 - beta2` and `least`; for momentum, 1, 1 and 0.
        terms: coefficients of all gaps, of which `at` is this one's.
        at: index of the gap.
        floor: eps in the first step, with its bias correction.
        count: number of steps.
        powers: see `fast_adam._tables`.
        logits: of the present image; `value` times the column is added.
        value: the present image's feature.
    """
    kind = state.dtype.type
    one, x, floor, value = kind(1), kind(x), kind(floor), kind(value)
    beta1, beta2, other1, other2 = kind(powers[0, 1]), kind(powers[1, 1]), kind(others[0]), kind(others[1])
    left1, left2, decay = kind(powers[0, count - 1]), kind(powers[1, count - 1]), kind(powers[3, count])
    least = kind(others[2])
    a0, a1, a2, a3 = kind(terms[at, 0]), kind(terms[at, 1]), kind(terms[at, 2]), kind(terms[at, 3])
    if state.shape[1] == 2:
        for i in range(len(logits)):
            first = beta1 * state[j, 1, i] + other1 * (errors[row, i] * x)
            weight = state[j, 0, i] - a0 * first
            state[j, 0, i] = weight
            state[j, 1, i] = left1 * first
            logits[i] += value * weight
        return
    for i in range(len(logits)):
        g = errors[row, i] * x
        first = beta1 * state[j, 1, i] + other1 * g
        size = max(abs(g), least)
        second = beta2 * state[j, 2, i] + other2 * (size * size)
        inverse = one / (np.sqrt(second) + floor)
        s = floor * inverse
        weight = decay * state[j, 0, i] - first * inverse * (a0 + s * (a1 + s * (a2 + s * a3)))
        state[j, 0, i] = weight
        state[j, 1, i] = left1 * first
        state[j, 2, i] = left2 * second
        logits[i] += value * weight


@compiled
def _catch_up(state, errors, logits, x_now, columns, last, now, start, gaps, own, tables):  # type: ignore[no-untyped-def]
    """Computes the deferred updates of `columns` up to step `now`, and the logits of one part; `own` is its gap."""
    then, touched, since = last
    terms, until = gaps
    schedule, powers, others, tiny = tables
    logits[:] = 0
    for j in columns:
        value, first, x = x_now[j], since[j], then[j]
        if first < 0 and not (touched[j] and now > 0):
            decay = state.dtype.type(powers[3, now])
            for i in range(len(logits)):
                state[j, 0, i] *= decay
                logits[i] += value * state[j, 0, i]
            continue
        if first < 0:
            first, x = 0, 0 * x
        done, floor = until[first], schedule[1, start + first]
        here = value if done == now else 0 * value
        _update(state, j, errors, first, x, others, terms, first, floor, done - first, powers, logits, here)
        while done < now:
            base = done
            terms[own] = 0
            while done < now and _add_step(terms, until, own, base, done, start, schedule, powers, tiny):
                done += 1
            floor, here = schedule[1, start + base], value if done == now else 0 * value
            _update(state, j, errors, 0, 0 * x, others, terms, own, floor, done - base, powers, logits, here)


@compiled
def _begin(now, features, start, last, gaps, tables):  # type: ignore[no-untyped-def]
    """Adds the step before `now` to all gaps; returns the features of step `now` and which columns have a part in it.

    After the last step that is all columns, with features 0.
    """
    terms, until = gaps
    schedule, powers, _, tiny = tables
    if now == 0:
        last[2][:] = -1
        terms[:] = 0
        until[: len(features)] = np.arange(len(features))
    for first in range(now):
        if until[first] == now - 1:
            _add_step(terms, until, first, first, now - 1, start, schedule, powers, tiny)
    if now == len(features):
        return np.zeros(features.shape[1], features.dtype), np.arange(features.shape[1])
    return features[now], np.flatnonzero(features[now])


@compiled
def _end(now, x, columns, label, outputs, logits, errors, last):  # type: ignore[no-untyped-def]
    """Computes the error of step `now` from its logits; returns whether its loss is finite."""
    then, touched, since = last
    for j in columns:
        then[j], touched[j], since[j] = x[j], True, now
    wide, flat = logits.shape[1], logits.reshape(logits.size)
    kind = np.finfo(logits.dtype)
    lowest = kind.tiny / kind.eps
    highest = flat[:outputs].max()
    total = 0.0
    for i in range(outputs):
        total += np.exp(flat[i] - highest)
    # As torch rounds it: a label's error, its probability minus 1, may be all rounding, which Adam scales up.
    spread = np.log(flat.dtype.type(total))
    if not np.isfinite(spread - (flat[label] - highest)):
        return False
    for i in range(outputs):
        error = np.exp((flat[i] - highest) - spread)
        errors[i // wide, now, i % wide] = error if error > lowest else 0
    errors[label // wide, now, label % wide] -= 1
    return True


def _steps(features, labels, outputs, start, state, errors, logits, last, gaps, tables):  # type: ignore[no-untyped-def]
    """Makes one step per row of `features`; returns the step whose loss is not finite, or -1.

    Array expressions would become parallel too, so that all work is in functions that are not.

    Args:
        features: of the steps `(steps, features + 1)`; the last is 1.
        labels: of the steps.
        outputs: number of outputs, without those that fill the last part.
        start: number of steps before these.
        state: see the module.
        errors: a buffer for the steps' errors `(parts, LONGEST, outputs of a part)`; 0 before the first call.
        logits: a buffer `(parts, outputs of a part)`.
        last: of each column, the feature in the last step in which it was not 0, whether there was one, and a buffer
            for that step.
        gaps: buffers for coefficients `(LONGEST + parts, TERMS)` and for the first step that is not in them.
        tables: see `fast_adam._tables`.
    """
    for now in range(len(features) + 1):
        x, columns = _begin(now, features, start, last, gaps, tables)
        for part in prange(len(state)):
            own = LONGEST + part
            _catch_up(state[part], errors[part], logits[part], x, columns, last, now, start, gaps, own, tables)
        if now < len(features) and not _end(now, x, columns, labels[now], outputs, logits, errors, last):
            return now
    return -1


steps_alone = compiled(_steps)
"""`_steps`, whose parts are computed one after the other."""

steps_together = compiled(_steps, parallel=True)
"""`_steps`, where each part has a thread of its own, in numba's threads."""
