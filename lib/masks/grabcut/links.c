// The loops of links.py over pairs of neighbouring pixels.

#include <stdint.h>

enum { DIRECTIONS = 8, CHANNELS = 3 };

static inline int32_t squared_difference(const uint8_t *a, const uint8_t *b) {
    int32_t total = 0;
    for (int c = 0; c < CHANNELS; c++) total += (a[c] - b[c]) * (a[c] - b[c]);
    return total;
}

// Return the sum of squared differences over all pairs of neighbours, each once. The first half of
// `steps` [8, 2] (rows, columns) leads to each neighbour once.
int64_t sum_of_differences(const uint8_t *image, int64_t height, int64_t width,
                           const int64_t *steps) {
    int64_t total = 0;
    for (int d = 0; d < DIRECTIONS / 2; d++) {
        const int64_t dy = steps[2 * d], dx = steps[2 * d + 1];
        const int64_t from = dx < 0 ? -dx : 0, to = dx > 0 ? width - dx : width;
        for (int64_t y = 0; y < height - dy; y++)
            for (int64_t x = from; x < to; x++)
                total += squared_difference(image + (y * width + x) * CHANNELS,
                                            image + ((y + dy) * width + x + dx) * CHANNELS);
    }
    return total;
}

// Write the links inside a rectangle into a framed grid, capacity [(h + 2) * (w + 2), 8], and the
// sum of those that lead from each pixel to outside of the rectangle, outward [h, w]. A link weighs
// weights [2, N] by kind (straight, diagonal) and squared difference, the last one beyond it.
void fill_links(const uint8_t *image, int64_t height, int64_t width, int64_t top, int64_t left,
                int64_t h, int64_t w, const int32_t *weights, int64_t known, const int64_t *steps,
                int32_t *restrict capacity, double *restrict outward) {
    for (int64_t y = 0; y < h; y++)
        for (int64_t x = 0; x < w; x++) {
            const uint8_t *pixel = image + ((top + y) * width + left + x) * CHANNELS;
            int32_t *links = capacity + ((y + 1) * (w + 2) + x + 1) * DIRECTIONS;
            for (int d = 0; d < DIRECTIONS; d++) {
                const int64_t dy = steps[2 * d], dx = steps[2 * d + 1];
                const int64_t to_y = top + y + dy, to_x = left + x + dx;
                if (to_y < 0 || to_y >= height || to_x < 0 || to_x >= width) continue;
                int64_t difference =
                    squared_difference(pixel, image + (to_y * width + to_x) * CHANNELS);
                if (difference >= known) difference = known - 1;
                const int32_t weight = weights[(dy != 0 && dx != 0 ? known : 0) + difference];
                if (y + dy >= 0 && y + dy < h && x + dx >= 0 && x + dx < w)
                    links[d] = weight;
                else
                    outward[y * w + x] += weight;
            }
        }
}
