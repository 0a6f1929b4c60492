// Likelihood fit: a thread a ramp, in its own lane of the workspace, (…, lanes), so that neighbours
// write neighbours. There are fewer lanes than ramps: what is in use stays in the card's cache.
#include "fit.cuh"
#include "jumps.cuh"

struct Results {
    float* values;        // (4, ints, y, x): rate, error, variances by photons and by read noise
    unsigned int* dq;     // (ints, y, x)
    float* chi_square;    // (ints, y, x), or null
    long long n_ramps;
};

// Search a ramp for jumps until none are found any more, then fit it. Return false, and write
// nothing, where a jump was found and `is_first_look`.
__device__ bool fit_one_ramp(long long index, bool is_first_look, const Exposure& exposure,
                             const Readout& readout, const Thresholds& limits,
                             const Results& results, Ramp& ramp)
{
    const long long integration = index / exposure.n_pixels, pixel = index % exposure.n_pixels;
    const long long first = integration * exposure.groups * exposure.n_pixels + pixel;
    gather(exposure, readout, pixel, first, integration, ramp);
    guess_rates(exposure, pixel, ramp);
    bool is_searched = true;
    for (int attempt = 0;; ++attempt) {
        const bool is_last = !is_searched || attempt == ramp.n;
        if (is_last) estimate_photons(ramp);
        fit_once(readout, !is_last || results.chi_square, ramp);
        if (is_last) break;
        if (attempt == 0) ramp.rate = ramp.data_ones * (1.0 / ramp.ones_ones);
        is_searched = drop_worst(readout, limits, ramp);
        if (is_first_look && ramp.seen & HAS_DROPS) return false;
    }
    const Fitted fitted = find_variances(readout, ramp);

    if (ramp.seen & HAS_DROPS) flag_jumps(exposure, readout, first, ramp);
    const unsigned int unusable = ramp.seen & ALL_UNUSABLE ? DO_NOT_USE : 0u;
    const unsigned int flags = (ramp.seen & (SATURATED | JUMP_DET)) | unusable;
    results.dq[index] = exposure.pixeldq[pixel] | flags;
    float* values = results.values + index;
    values[0] = (float)fitted.rate;
    values[results.n_ramps] = (float)fitted.err;
    values[2 * results.n_ramps] = (float)fitted.by_photons;
    values[3 * results.n_ramps] = (float)fitted.by_read;
    if (results.chi_square) results.chi_square[index] = (float)ramp.chi_square;
    return true;
}

// A ramp that is searched again and again would keep the others of its warp waiting: those with
// jumps are listed, and fitted together at the end. `listed` has room for all ramps of each warp.
extern "C" __global__ void __launch_bounds__(128, 3) fit_ramps(
    const float* data, unsigned char* groupdq, const unsigned int* pixeldq, const float* gain,
    const float* readnoise, const float* zeroframe, const float* dark, const double* factors,
    double frames, bool has_pairs, double limit_of_one, double limit_of_two, int groups,
    long long n_pixels, long long n_ramps, float* values, unsigned int* dq, float* chi_square,
    double* rows, unsigned char* uses, unsigned int* listed, long long lanes, long long rounds)
{
    const long long lane = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    const int place = threadIdx.x % 32;
    const Exposure exposure = {data, groupdq, pixeldq, gain, readnoise, zeroframe, dark, groups,
                               n_pixels};
    const int n = groups - (frames > 0.0 ? 0 : 1);
    const Readout readout = {factors, frames, n, has_pairs};
    const Thresholds limits = {limit_of_one, limit_of_two};
    const Results results = {values, dq, chi_square, n_ramps};
    Ramp ramp = {};
    ramp.rows = rows + lane;
    ramp.uses = uses + lane;
    ramp.lanes = lanes;
    ramp.n = n;
    unsigned int* of_warp = listed + (lane - place) * rounds;
    bool is_first_look = true;
    unsigned int n_listed = 0;
    // All lanes of a warp go round alike.
    for (long long i = lane;; i += is_first_look ? lanes : 32) {
        if (is_first_look && i - place >= n_ramps) {
            is_first_look = false;
            i = place;
            __syncwarp();
        }
        const long long count = is_first_look ? n_ramps : n_listed;
        if (i - place >= count) break;
        bool is_left = false;
        if (i < count) {
            const long long index = is_first_look ? i : of_warp[i];
            is_left = !fit_one_ramp(index, is_first_look, exposure, readout, limits, results, ramp);
        }
        const unsigned int left = __ballot_sync(0xffffffffu, is_left);
        if (is_left) of_warp[n_listed + __popc(left & ((1u << place) - 1))] = (unsigned int)i;
        if (is_first_look) n_listed += __popc(left);
    }
}
