// Waves in MIRI's samples: sums of samples by phase, and the subtraction of a waveform.

// The waveform at a phase in turns; see cpu.py.
__device__ double waveform_at(const double* pieces, int n_pieces, double phase)
{
    const double place = (phase - floor(phase)) * (n_pieces - 1) + 0.5;
    const int piece = (int)place;
    const double t = place - piece;
    const double* c = pieces + 4 * piece;
    return c[0] + t * (c[1] + t * (c[2] + t * c[3]));
}

// The standard deviation of each pixel along the groups of each integration: a thread a pixel.
extern "C" __global__ void measure_scatter(
    const float* data, int ints, int groups, long long pixels, float* scatter)
{
    const long long pixel = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    const int i = blockIdx.y;
    if (pixel >= pixels || i >= ints) return;
    const float* samples = data + (long long)i * groups * pixels + pixel;
    const float n = (float)groups;
    float mean = samples[0];
    for (int group = 1; group < groups; ++group) mean += samples[group * pixels];
    mean /= n;
    float squares = 0.0f;
    for (int group = 0; group < groups; ++group) {
        const float difference = samples[group * pixels] - mean;
        squares += difference * difference;
    }
    scatter[i * pixels + pixel] = sqrtf(squares / n);
}

// Which samples count: those of steady, unflagged pixels, but for two columns of each amplifier.
extern "C" __global__ void choose_pixels(
    const float* scatter, const unsigned int* pixeldq, const float* limit, int ints,
    long long pixels, int width, bool* is_good)
{
    const long long pixel = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    const int i = blockIdx.y;
    if (pixel >= pixels || i >= ints) return;
    const int k = (int)(pixel % width) / 4;
    is_good[i * pixels + pixel] =
        scatter[i * pixels + pixel] < limit[0] && pixeldq[pixel] == 0 && k != 1 && k != 2;
}

// The sums of a bin over the places that are read at its phase: a thread a bin, group and
// integration. Places are in the order in which they are read, and summed in blocks of rows, as
// cpu.py does it.
extern "C" __global__ void sum_bins(
    const float* data, const bool* is_good, const int* places, const int* starts, int ints,
    int groups, int height, int width, int n_bins, int n_blocks, double* sums, double* counts)
{
    const int bin = blockIdx.x * blockDim.x + threadIdx.x;
    const int group = blockIdx.y, i = blockIdx.z;
    if (bin >= n_bins || group >= groups || i >= ints) return;
    const long long pixels = (long long)height * width;
    const int quarter = width / 4;
    const float* image = data + ((long long)i * groups + group) * pixels;
    const bool* good = is_good + i * pixels;
    double total = 0.0, count = 0.0;
    int entry = starts[bin];
    const int stop = starts[bin + 1];
    for (int block = 0; block < n_blocks; ++block) {
        const int end = height * (block + 1) / n_blocks * quarter;
        double of_block = 0.0;
        for (; entry < stop && places[entry] < end; ++entry) {
            const long long first = 4ll * places[entry];
            double value = 0.0;
            for (long long x = first; x < first + 4; ++x) {
                const float weight = good[x] ? 1.0f : 0.0f;
                value += (double)(image[x] * weight);
                count += weight;
            }
            of_block += value;
        }
        total += of_block;
    }
    sums[((long long)i * n_bins + bin) * groups + group] = total;
    if (group == 0) counts[(long long)i * n_bins + bin] = count;
}

// The waveform at many phases.
extern "C" __global__ void evaluate(
    const double* pieces, int n_pieces, const double* phases, long long n, double* values)
{
    const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) values[i] = waveform_at(pieces, n_pieces, phases[i]);
}

// Subtract the waveform from the four samples that are read at one time: a thread a time.
extern "C" __global__ void subtract(
    float* data, int groups, int height, int width, int row_clocks, int samples_a_pixel,
    double period, double group_phase, const double* pieces, int n_pieces,
    const double* amplitudes, const double* phases)
{
    const int quarter = width / 4;
    const long long place = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    const int group = blockIdx.y, i = blockIdx.z;
    if (place >= (long long)height * quarter || group >= groups) return;
    const long long y = place / quarter, k = place % quarter;
    const double own = (y * row_clocks + k * samples_a_pixel) / period;
    const double phase = own - floor(own) + group_phase * group + phases[i];
    const double wave = amplitudes[i] * waveform_at(pieces, n_pieces, phase);
    float* line = data + (((long long)i * groups + group) * height * quarter + place) * 4;
    for (int x = 0; x < 4; ++x) line[x] = (float)(line[x] - wave);
}
