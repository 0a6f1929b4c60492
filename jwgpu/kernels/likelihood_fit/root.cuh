// Roots of determinants, the same on every machine and device. Twin of root_cpu.py, where it is
// explained.
#pragma once

constexpr double LEAST_NORMAL = 2.2250738585072014e-308, LIFT = 18014398509481984.0;
constexpr double SQRT_2 = 1.4142135623730951;
constexpr double TWO_OVER_LN2 = 2.8853900817779268, REST_OF_TWO_OVER_LN2 = 4.0710547481862066e-17;
constexpr double LN2 = 0.6931471805599453, REST_OF_LN2 = 2.3190468138462996e-17;
constexpr double ROUNDER = 6755399441055744.0, SPLITTER = 134217729.0;

union Bits {
    double number;
    long long bits;
};

// Return what rounding took from a * b (Dekker 1971).
__device__ inline double rest_of_product(double a, double b, double product)
{
    double high_a = SPLITTER * a;
    high_a = high_a - (high_a - a);
    const double low_a = a - high_a;
    double high_b = SPLITTER * b;
    high_b = high_b - (high_b - b);
    const double low_b = b - high_b;
    return ((high_a * high_b - product) + high_a * low_b + low_a * high_b) + low_a * low_b;
}

// Return what rounding took from a + b (Knuth).
__device__ inline double rest_of_sum(double a, double b, double total)
{
    const double of_b = total - a;
    return (a - (total - of_b)) + (b - of_b);
}

// Return value ** power for a power between 0 and 1.
__device__ inline double power_of(double value, double power)
{
    constexpr long long fraction_bits = (1ll << 52) - 1, exponent_of_one = 1023ll << 52;
    // value = 2 ** exponent * fraction, the fraction between sqrt(1 / 2) and sqrt(2).
    const bool is_tiny = value < LEAST_NORMAL;
    Bits bits;
    bits.number = is_tiny ? value * LIFT : value;
    double exponent = (double)((bits.bits >> 52) - 1023) - (is_tiny ? 54.0 : 0.0);
    bits.bits = (bits.bits & fraction_bits) | exponent_of_one;
    double fraction = bits.number;
    const bool is_above = fraction > SQRT_2;
    fraction = fraction * (is_above ? 0.5 : 1.0);
    exponent = exponent + (is_above ? 1.0 : 0.0);
    // Its logarithm to base 2, as a sum of two: 2 / ln 2 * (q + q ** 3 / 3 + q ** 5 / 5 + ...).
    const double below = fraction - 1.0, above = fraction + 1.0;
    double q = below / above;
    double product = q * above;
    double rest = (below - product) - rest_of_product(q, above, product);
    double q_rest = (rest - q * rest_of_sum(fraction, 1.0, above)) / above;
    double z = q * q;
    double series = 1.0 / 21.0;
    series = 1.0 / 19.0 + z * series;
    series = 1.0 / 17.0 + z * series;
    series = 1.0 / 15.0 + z * series;
    series = 1.0 / 13.0 + z * series;
    series = 1.0 / 11.0 + z * series;
    series = 1.0 / 9.0 + z * series;
    series = 1.0 / 7.0 + z * series;
    series = 1.0 / 5.0 + z * series;
    series = 1.0 / 3.0 + z * series;
    rest = q_rest + z * (q_rest + q * series);
    product = q * TWO_OVER_LN2;
    rest = rest_of_product(q, TWO_OVER_LN2, product) + q * REST_OF_TWO_OVER_LN2
           + rest * TWO_OVER_LN2;
    double of_fraction = product + rest;
    double logarithm = exponent + of_fraction;
    rest = rest_of_sum(product, rest, of_fraction) + rest_of_sum(exponent, of_fraction, logarithm);
    // Times the power: an integer, and what is left, to base e.
    product = logarithm * power;
    rest = rest_of_product(logarithm, power, product) + rest * power;
    double shifted = product + ROUNDER;
    double left = product - (shifted - ROUNDER);
    double x = left * LN2;
    rest = rest_of_product(left, LN2, x) + left * REST_OF_LN2 + rest * LN2;
    // The exponential function: 1 + x + x ** 2 / 2 + ...
    double square = x * x;
    series = 1.0 / 1307674368000.0;
    series = 1.0 / 87178291200.0 + x * series;
    series = 1.0 / 6227020800.0 + x * series;
    series = 1.0 / 479001600.0 + x * series;
    series = 1.0 / 39916800.0 + x * series;
    series = 1.0 / 3628800.0 + x * series;
    series = 1.0 / 362880.0 + x * series;
    series = 1.0 / 40320.0 + x * series;
    series = 1.0 / 5040.0 + x * series;
    series = 1.0 / 720.0 + x * series;
    series = 1.0 / 120.0 + x * series;
    series = 1.0 / 24.0 + x * series;
    series = 1.0 / 6.0 + x * series;
    double half = 0.5 * square;
    double first = 1.0 + x;
    double total = first + half;
    double others = square * (x * series);
    rest = rest * (total + others) + 0.5 * rest_of_product(x, x, square) + others;
    rest = rest_of_sum(1.0, x, first) + rest_of_sum(first, half, total) + rest;
    double found = total + rest;
    bits.number = shifted;
    bits.bits = (long long)(((unsigned long long)bits.bits << 52) + exponent_of_one);
    const double scale = bits.number;
    // As in C.
    if (value > 0.0) return isinf(value) ? value : found * scale;
    return value == 0.0 ? 0.0 : isinf(value) ? -value : nan("");
}
