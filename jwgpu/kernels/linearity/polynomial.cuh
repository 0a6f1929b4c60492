// The polynomial of one pixel: up to TERMS terms, in registers.
#pragma once
#include "flags.cuh"

struct Polynomial {
    int n_terms;
    float terms[TERMS];
};

// Take the coefficients of a pixel, or those of a straight ramp where they are unusable; tell which.
__device__ bool take_coefficients(
    Polynomial& polynomial, const float* coefficients, unsigned int coefficients_dq,
    int n_terms, int pixel, int n_pixels)
{
    bool usable = (coefficients_dq & NO_LIN_CORR) == 0;
    polynomial.n_terms = n_terms;
#pragma unroll
    for (int term = 0; term < TERMS; ++term) {
        if (term >= n_terms) continue;
        const float value = coefficients[(long long)term * n_pixels + pixel];
        usable = usable && !isnan(value) && (term != 1 || value != 0.0f);
        polynomial.terms[term] = value;
    }
#pragma unroll
    for (int term = 0; term < TERMS; ++term)
        if (!usable) polynomial.terms[term] = term == 1 ? 1.0f : 0.0f;
    return usable;
}

// The polynomial at `value`, in its precision, by Horner's rule.
template <class Real>
__device__ Real evaluate(Real value, const Polynomial& polynomial)
{
    const int highest = polynomial.n_terms - 1;
    Real result = 0;
#pragma unroll
    for (int term = TERMS - 1; term > 0; --term)
        if (term <= highest) {
            const Real coefficient = polynomial.terms[term];
            result = (term == highest ? coefficient : result + coefficient) * value;
        }
    return result + polynomial.terms[0];
}
