// A series in both directions on a grid of pixels: a thread a pixel, a block some columns of a row.
// Sums run in the order of the CPU's.

extern "C" __global__ void evaluate(
    const double* __restrict__ coefficients,  // (2, n_terms, n_terms)
    const double* __restrict__ along_y,       // (n_rows, n_terms)
    const double* __restrict__ along_x,       // (n_terms, n_columns)
    double* __restrict__ pixel_map,           // (n_rows, n_columns, 2)
    int n_terms, int n_columns)
{
    extern __shared__ double terms[];  // (2, n_terms): the factors of the functions of the column
    const int row = blockIdx.y;
    for (int k = threadIdx.x; k < 2 * n_terms; k += blockDim.x) {
        const int axis = k / n_terms, i = k % n_terms;
        double term = 0.0;
        for (int j = 0; j < n_terms; ++j)
            term += coefficients[((long long)axis * n_terms + j) * n_terms + i]
                    * along_y[(long long)row * n_terms + j];
        terms[k] = term;
    }
    __syncthreads();
    const int column = blockIdx.x * blockDim.x + threadIdx.x;
    if (column >= n_columns) return;
    double x = 0.0, y = 0.0;
    for (int i = 0; i < n_terms; ++i) {
        const double function = along_x[(long long)i * n_columns + column];
        x += terms[i] * function;
        y += terms[n_terms + i] * function;
    }
    double* place = pixel_map + 2 * ((long long)row * n_columns + column);
    place[0] = x;
    place[1] = y;
}
