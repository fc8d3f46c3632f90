#!/usr/bin/env python3
"""Fits the polynomials of ir/src/elementary.rs and elementary/double/coefficients.rs, and measures those there are.

    python3 ir/tools/fit_polynomials.py          # the error of each, beside that of a fit of its own
    python3 ir/tools/fit_polynomials.py --fit    # the coefficients of the fits as well

Needs mpmath. For each polynomial p of a function f the largest |p(x) - f(x)| w(x) over the interval is told, where w
makes it the error of what the polynomial is for, such as that of e^r. A fit is minimax by Remez's exchange; its
coefficients are rounded one at a time, lowest power first, and the rest fitted again. A fit's last digits depend on
how it is done, and the fits in the sources stay as they are: every result of the library has their bits.
"""

import pathlib
import re
import struct
import sys

from mpmath import atanh, cos, erf, exp, expm1, log, log1p, lu_solve, matrix, mp, mpf, pi, sin, sqrt

mp.dps = 40
SOURCES = pathlib.Path(__file__).parent.parent / "src"
THIRD, SMALL = mpf(1) / 3, mpf("1e-12")


def series(function, limit, taylor):
    """A quotient whose terms cancel near 0, where its Taylor series is taken instead."""
    return lambda x: taylor(x) if abs(x) < limit else function(x)


def log_erf(t):
    """-ln(1 - erf t) / t - 1."""
    return 2 / sqrt(pi) - 1 if t == 0 else -log(1 - erf(t)) / t - 1


def erf_error(t):
    """What an error of -ln(1 - erf t) / t is in units of erf t."""
    return sqrt(pi) / 2 if t == 0 else t * (1 - erf(t)) / erf(t)


E = mpf(10) ** -8
# name: the file, the function of the polynomial's variable, the weight, the interval, how many coefficients are exact
POLYNOMIALS = {
    ("elementary", "EXP"): (exp, lambda x: 1 / exp(x), (-log(2) / 2, log(2) / 2), 2),
    ("elementary", "EXPM1"): (
        series(lambda r: (expm1(r) - r) / r**2, E, lambda r: mpf(1) / 2 + r / 6),
        series(lambda r: r**2 / expm1(r), E, lambda r: r),
        (-log(2) / 2, log(2) / 2),
        0,
    ),
    ("elementary", "LOG"): (
        series(lambda f: (log1p(f) - f) / f**2, E, lambda f: -mpf(1) / 2 + f / 3),
        series(lambda f: f**2 / log1p(f), E, lambda f: f),
        (-THIRD, THIRD),
        1,
    ),
    ("elementary", "LOG1P"): (
        series(lambda t: (log1p(t) - t) / t**2, E, lambda t: -mpf(1) / 2 + t / 3),
        series(lambda t: t**2 / log1p(t), E, lambda t: t),
        (mpf(0), mpf(1)),
        0,
    ),
    ("elementary", "SIN"): (
        series(lambda s: (sin(sqrt(s)) - sqrt(s)) / sqrt(s) ** 3, E, lambda s: -mpf(1) / 6 + s / 120),
        series(lambda s: sqrt(s) ** 3 / sin(sqrt(s)), E, lambda s: s),
        (mpf(0), (mpf("1.055") * pi / 4) ** 2),
        0,
    ),
    ("elementary", "COS"): (lambda s: cos(sqrt(s)), lambda s: mpf(1), (mpf(0), (mpf("1.055") * pi / 4) ** 2), 2),
    ("elementary", "ERF"): (log_erf, erf_error, (mpf(0), mpf(4)), 0),
    ("elementary/double/coefficients", "EXP"): (
        series(lambda r: (expm1(r) - r) / r**2, E, lambda r: mpf(1) / 2 + r / 6 + r**2 / 24),
        lambda r: r**2 / exp(r),
        (-log(2) / 2, log(2) / 2),
        1,
    ),
    ("elementary/double/coefficients", "LOG"): (
        series(lambda z: (2 * atanh(sqrt(z)) / sqrt(z) - 2) / z, E, lambda z: mpf(2) / 3 + 2 * z / 5 + 2 * z**2 / 7),
        series(lambda z: z * sqrt(z) / (2 * atanh(sqrt(z))), E, lambda z: z / 2),
        (mpf(0), (3 - 2 * sqrt(mpf(2))) ** 2),
        0,
    ),
    ("elementary/double/coefficients", "SIN"): (
        series(
            lambda s: (sin(sqrt(s)) - sqrt(s)) / sqrt(s) ** 3, E, lambda s: -mpf(1) / 6 + s / 120 - s**2 / 5040
        ),
        series(lambda s: sqrt(s) ** 3 / sin(sqrt(s)), E, lambda s: s),
        (mpf(0), (pi / 4) ** 2),
        0,
    ),
    ("elementary/double/coefficients", "COS"): (
        series(
            lambda s: (cos(sqrt(s)) - 1 + s / 2) / s**2, E, lambda s: mpf(1) / 24 - s / 720 + s**2 / 40320
        ),
        lambda s: s**2 / cos(sqrt(s)),
        (mpf(0), (pi / 4) ** 2),
        0,
    ),
    ("elementary/double/coefficients", "ERF"): (log_erf, erf_error, (mpf(0), mpf(6)), 0),
}


def value(coefficients, x):
    total = mpf(0)
    for c in reversed(coefficients):
        total = total * x + c
    return total


def points(interval, count):
    """Chebyshev points, of which there are more near the ends, and the ends."""
    a, b = interval
    return [(a + b) / 2 - (b - a) / 2 * cos(pi * i / (count - 1)) for i in range(count)]


def error(coefficients, function, weight, interval, count=600):
    return max(abs((value(coefficients, x) - function(x)) * weight(x)) for x in points(interval, count))


def remez(function, weight, interval, fixed, count):
    """The minimax polynomial with these first coefficients and `count` after them, by exchange on a grid."""
    first = len(fixed)
    # what is left of the function, as a polynomial that begins with a constant: of these any set of points has one
    known = [(x, abs(weight(x) * x**first)) for x in points(interval, 400)]
    # where the weight is 0 nothing is asked
    known = [(x, (function(x) - value(fixed, x)) / x**first, w) for x, w in known if w > mpf(10) ** -30]
    chosen = [known[round(i * (len(known) - 1) / count)] for i in range(count + 1)]
    for _ in range(60):
        rows = [[x**k for k in range(count)] + [(-1) ** i / w] for i, (x, _, w) in enumerate(chosen)]
        solution = lu_solve(matrix(rows), matrix([f for _, f, _ in chosen]))
        found, level = [solution[k] for k in range(count)], abs(solution[count])
        residuals = [(value(found, x) - f) * w for x, f, w in known]
        # of each run of one sign the largest
        runs = []
        for i, r in enumerate(residuals):
            if runs and (r >= 0) == (residuals[runs[-1]] >= 0):
                if abs(r) > abs(residuals[runs[-1]]):
                    runs[-1] = i
            else:
                runs.append(i)
        # too many: the smallest goes, and of its neighbours, which have one sign now, the smaller one
        size = lambda run: abs(residuals[runs[run]])
        while len(runs) > count + 1:
            least = min(range(len(runs)), key=size)
            if 0 < least < len(runs) - 1 and len(runs) > count + 2:
                other = min(least - 1, least + 1, key=size)
                for run in sorted([least, other], reverse=True):
                    del runs[run]
            elif 0 < least < len(runs) - 1:
                del runs[min(0, len(runs) - 1, key=size)]
            else:
                del runs[least]
        if len(runs) < count + 1:
            return found
        chosen = [known[i] for i in runs]
        if max(map(abs, residuals)) <= level * (1 + mpf(10) ** -6):
            return found
    return found


def rounded(x, is_single):
    if not is_single:
        return mpf(float(x))
    # by way of more digits than a double has: one rounding
    exponent = mp.frexp(x)[1]
    scale = mpf(2) ** (24 - exponent)
    whole = mp.nint(x * scale)
    return mpf(struct.unpack("f", struct.pack("f", float(whole / scale)))[0])


def fit(function, weight, interval, exact, count, is_single):
    coefficients = exact
    while len(coefficients) < count:
        rest = remez(function, weight, interval, coefficients, count - len(coefficients))
        coefficients = coefficients + [rounded(rest[0], is_single)]
    return coefficients


def main():
    for (file, name), (function, weight, interval, exact) in POLYNOMIALS.items():
        text = (SOURCES / f"{file}.rs").read_text()
        constant = rf"(?:#\[rustfmt::skip\]\n)?(?:pub\(super\) )?const {name}: \[f\d+; \d+\] = \[(.*?)\];"
        found = re.search(rf"to ([0-9.]+e-[0-9]+)[^\n]*\n{constant}", text, re.S)
        there = [mpf(c.replace("_", "")) for c in re.findall(r"-?[0-9][0-9._]*(?:e-?[0-9]+)?", found[2])]
        is_single = file == "elementary"
        there = [rounded(c, is_single) for c in there]
        mine = fit(function, weight, interval, there[:exact], len(there), is_single)
        errors = [mp.nstr(error(c, function, weight, interval), 3) for c in (there, mine)]
        print(f"{file:30} {name:6} {len(there):2} coefficients: {errors[0]} (documented {found[1]}), a fit {errors[1]}")
        if "--fit" in sys.argv:
            print("   ", ", ".join(mp.nstr(c, 9 if is_single else 17) for c in mine))


main()
