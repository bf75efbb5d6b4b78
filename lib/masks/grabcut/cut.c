// The loops of cut.py over a framed grid: pixel (y, x) is entry (y + 1) * (width + 2) + x + 1.

#include <stdint.h>

enum { DIRECTIONS = 8, BACK = 4 }; // d ^ BACK is the way back

// Return the direction between the blocks of a pixel and its neighbour, -1 within one block.
static inline int block_direction(int64_t y, int64_t x, int64_t dy, int64_t dx) {
    static const int8_t ways[3][3] = {{6, 5, 7}, {4, -1, 0}, {3, 1, 2}};
    return ways[((y + dy) >> 1) - (y >> 1) + 1][((x + dx) >> 1) - (x >> 1) + 1];
}

// Add up pixels and links to those of the grid of half the size.
void halve(const int64_t *excess, const int32_t *capacity, int64_t height, int64_t width,
           int64_t *restrict coarse_excess, int32_t *restrict coarse_capacity,
           const int64_t *steps) {
    const int64_t across = width + 2, coarse_across = (width + 1) / 2 + 2;
    for (int64_t y = 0; y < height; y++)
        for (int64_t x = 0; x < width; x++) {
            const int64_t pixel = (y + 1) * across + x + 1;
            const int64_t block = ((y >> 1) + 1) * coarse_across + (x >> 1) + 1;
            coarse_excess[block] += excess[pixel];
            for (int d = 0; d < DIRECTIONS; d++) {
                const int32_t room = capacity[pixel * DIRECTIONS + d];
                if (room == 0) continue; // leads out of the grid, or weighs nothing
                const int to = block_direction(y, x, steps[2 * d], steps[2 * d + 1]);
                if (to >= 0) coarse_capacity[block * DIRECTIONS + to] += room;
            }
        }
}

// Send the flow between blocks along the fine links, in proportion to their capacities: `total`
// had the links between blocks, `left` what they have left.
void spread(int64_t *restrict excess, int32_t *restrict capacity, int64_t height, int64_t width,
            const int32_t *total, const int32_t *left, const int64_t *steps) {
    const int64_t across = width + 2, coarse_across = (width + 1) / 2 + 2;
    for (int64_t y = 0; y < height; y++)
        for (int64_t x = 0; x < width; x++) {
            const int64_t pixel = (y + 1) * across + x + 1;
            const int64_t block = ((y >> 1) + 1) * coarse_across + (x >> 1) + 1;
            for (int d = 0; d < DIRECTIONS; d++) {
                const int32_t room = capacity[pixel * DIRECTIONS + d];
                if (room == 0) continue;
                const int to = block_direction(y, x, steps[2 * d], steps[2 * d + 1]);
                if (to < 0) continue;
                const int64_t link = block * DIRECTIONS + to;
                const int64_t flow = (int64_t)total[link] - left[link];
                if (flow <= 0) continue;
                const int32_t amount = (int32_t)(flow * room / total[link]);
                const int64_t other = pixel + steps[2 * d] * across + steps[2 * d + 1];
                capacity[pixel * DIRECTIONS + d] -= amount;
                capacity[other * DIRECTIONS + (d ^ BACK)] += amount;
                excess[pixel] -= amount;
                excess[other] += amount;
            }
        }
}

// Send excess over single links to where it lacks: most flow that is left is that short.
void push_to_neighbours(int64_t *restrict excess, int32_t *restrict capacity,
                        const int64_t *offsets, int64_t count) {
    for (int64_t pixel = 0; pixel < count; pixel++)
        for (int d = 0; d < DIRECTIONS && excess[pixel] > 0; d++) {
            const int32_t room = capacity[pixel * DIRECTIONS + d];
            if (room == 0) continue;
            const int64_t other = pixel + offsets[d];
            if (excess[other] >= 0) continue;
            int64_t amount = excess[pixel] < room ? excess[pixel] : room;
            if (-excess[other] < amount) amount = -excess[other];
            capacity[pixel * DIRECTIONS + d] -= (int32_t)amount;
            capacity[other * DIRECTIONS + (d ^ BACK)] += (int32_t)amount;
            excess[pixel] -= amount;
            excess[other] += amount;
        }
}
