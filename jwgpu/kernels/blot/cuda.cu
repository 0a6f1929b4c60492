// Reading an image on another grid of pixels: a thread a pixel of that grid.

// The image at a place within its first and beyond its last pixels.
inline __device__ float value_at(const float* image, int n_y, int n_x, float x, float y)
{
    const int i = (int)x, j = (int)y;
    const float right = x - (float)i, upper = y - (float)j;
    const float left = 1.0f - right, lower = 1.0f - upper;
    const float* row = image + (long long)j * n_x + i;
    const float here = row[0];
    if (i + 1 < n_x && j + 1 < n_y) {
        float value = left * lower * here + right * lower * row[1];
        value = value + upper * left * row[n_x];
        return value + right * upper * row[n_x + 1];
    }
    if (i + 1 < n_x) return left * here + right * row[1];
    if (j + 1 < n_y) return lower * here + upper * row[n_x];
    return here;
}

extern "C" __global__ void blot(
    const float* __restrict__ image,       // (n_y, n_x)
    const double* __restrict__ pixel_map,  // (rows, columns, 2)
    float* __restrict__ blotted,           // (rows, columns)
    int n_y, int n_x, int rows, int columns)
{
    const int column = blockIdx.x * blockDim.x + threadIdx.x, row = blockIdx.y;
    if (column >= columns || row >= rows) return;
    const long long place = (long long)row * columns + column;
    const float x = (float)pixel_map[2 * place], y = (float)pixel_map[2 * place + 1];
    // What is NaN compares false.
    const bool is_inside = x >= 0.0f && y >= 0.0f && x < (float)n_x && y < (float)n_y;
    blotted[place] = is_inside ? value_at(image, n_y, n_x, x, y) : nanf("");
}
