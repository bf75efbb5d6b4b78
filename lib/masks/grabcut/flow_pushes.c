// The loops of flow_pushes.py: `count` pixels, `capacity` with 8 numbers for each. Pixels of the
// grid's frame have neither links nor excess, so that all neighbours of the others exist.

#include <stdbool.h>
#include <stdint.h>

enum { DIRECTIONS = 8, BACK = 4 }; // d ^ BACK is the way back

static const int32_t FAR_AWAY = 1 << 29; // label of what reaches no pixel that lacks

// Set labels to distances; queue the pixels whose excess has a way, the nearest first. Return how
// many these are.
static int64_t measure(const int64_t *excess, const int32_t *capacity,
                       const int64_t *restrict offsets, int64_t count, int32_t *restrict label,
                       int32_t *restrict found, int32_t *restrict queue) {
    int64_t head = 0, tail = 0, waiting = 0;
    for (int64_t start = 0; start < count; start++) {
        label[start] = FAR_AWAY;
        if (excess[start] < 0) {
            label[start] = 0;
            found[tail++] = (int32_t)start;
        }
    }
    while (head < tail) {
        const int64_t pixel = found[head++];
        if (excess[pixel] > 0) queue[waiting++] = (int32_t)pixel;
        for (int d = 0; d < DIRECTIONS; d++) {
            const int64_t other = pixel + offsets[d];
            if (label[other] == FAR_AWAY && capacity[other * DIRECTIONS + (d ^ BACK)] > 0) {
                label[other] = label[pixel] + 1;
                found[tail++] = (int32_t)other;
            }
        }
    }
    return waiting;
}

// Return the smallest label with which a pixel can push, FAR_AWAY if it can nowhere.
static inline int32_t smallest(const int32_t *capacity, const int64_t *restrict offsets,
                               const int32_t *label, int64_t pixel) {
    int32_t found = FAR_AWAY;
    for (int d = 0; d < DIRECTIONS; d++)
        if (capacity[pixel * DIRECTIONS + d] > 0) {
            const int32_t above = label[pixel + offsets[d]] + 1;
            if (above < found) found = above;
        }
    return found;
}

// Push until no excess can reach a pixel that lacks. `tried` is the direction from which on a pixel
// can still push with its label. `queue` is a ring of pixels with excess, those with the smallest
// labels first; `queued`, all zeros, says which are in it.
void push(int64_t *restrict excess, int32_t *restrict capacity, const int64_t *restrict offsets,
          int64_t count, int32_t *restrict label, uint8_t *restrict tried, int32_t *restrict found,
          int32_t *restrict queue, bool *restrict queued) {
    for (;;) {
        int64_t waiting = measure(excess, capacity, offsets, count, label, found, queue);
        if (waiting == 0) return;
        for (int64_t i = 0; i < waiting; i++) {
            tried[queue[i]] = 0;
            queued[queue[i]] = true;
        }
        int64_t head = 0, tail = waiting < count ? waiting : 0, steps = 0;
        while (waiting > 0 && steps < count) {
            const int64_t pixel = queue[head];
            head = head + 1 < count ? head + 1 : 0;
            waiting--;
            queued[pixel] = false;
            int64_t left = excess[pixel];
            int d = tried[pixel];
            while (left > 0 && label[pixel] < FAR_AWAY) {
                const int32_t lower = label[pixel] - 1;
                for (; d < DIRECTIONS; d++) {
                    const int64_t room = capacity[pixel * DIRECTIONS + d];
                    const int64_t other = pixel + offsets[d];
                    if (room == 0 || label[other] != lower) continue;
                    const int64_t amount = left < room ? left : room;
                    capacity[pixel * DIRECTIONS + d] -= (int32_t)amount;
                    capacity[other * DIRECTIONS + (d ^ BACK)] += (int32_t)amount;
                    left -= amount;
                    excess[other] += amount;
                    if (excess[other] > 0 && !queued[other]) {
                        tried[other] = 0;
                        queued[other] = true;
                        queue[tail] = (int32_t)other;
                        tail = tail + 1 < count ? tail + 1 : 0;
                        waiting++;
                    }
                    if (left == 0) break;
                }
                steps++;
                if (left > 0) {
                    steps++;
                    label[pixel] = smallest(capacity, offsets, label, pixel);
                    d = 0;
                }
            }
            excess[pixel] = left;
            tried[pixel] = (uint8_t)d;
        }
        for (int64_t i = 0; i < waiting; i++)
            queued[queue[head + i < count ? head + i : head + i - count]] = false;
    }
}

// Write where excess can still come.
void reach(const int64_t *excess, const int32_t *capacity, const int64_t *restrict offsets,
           int64_t count, bool *restrict reached, int32_t *restrict found) {
    int64_t head = 0, tail = 0;
    for (int64_t start = 0; start < count; start++) {
        reached[start] = excess[start] > 0;
        if (reached[start]) found[tail++] = (int32_t)start;
    }
    while (head < tail) {
        const int64_t pixel = found[head++];
        for (int d = 0; d < DIRECTIONS; d++) {
            const int64_t other = pixel + offsets[d];
            if (capacity[pixel * DIRECTIONS + d] > 0 && !reached[other]) {
                reached[other] = true;
                found[tail++] = (int32_t)other;
            }
        }
    }
}
