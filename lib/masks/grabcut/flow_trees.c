// The search of flow_trees.py: `count` pixels, `capacity` with 8 numbers for each. Pixels of the
// grid's frame have neither links nor excess, so that all neighbours of the others exist.

#include <stdbool.h>
#include <stdint.h>

enum { DIRECTIONS = 8, BACK = 4, ROOT = 8, NOBODY = 9 }; // d ^ BACK is the way back; no directions

typedef struct {
    int64_t *excess;
    int32_t *capacity;
    const int64_t *offsets;
    int64_t count;
    bool *reached;   // belongs to a tree
    uint8_t *parent; // direction of the next pixel towards the root, ROOT or NOBODY
    int32_t *depth;  // distance from the root, as it was at the time `stamp`
    int32_t *stamp;
    int32_t *queue; // ring of the pixels at which trees may grow
    bool *queued;
    int32_t *orphans; // pixels that lost the link from their parent
    int64_t head, tail, waiting, lost;
    int32_t now;
} Search;

static inline void enqueue(Search *s, int64_t pixel) {
    if (s->queued[pixel]) return;
    s->queued[pixel] = true;
    s->queue[s->tail] = (int32_t)pixel;
    s->tail = s->tail + 1 < s->count ? s->tail + 1 : 0;
    s->waiting++;
}

static inline int32_t *room(const Search *s, int64_t pixel, int direction) {
    return s->capacity + pixel * DIRECTIONS + direction;
}

static inline int64_t towards_root(const Search *s, int64_t pixel) {
    return pixel + s->offsets[s->parent[pixel]];
}

static inline void orphan(Search *s, int64_t pixel) {
    s->parent[pixel] = NOBODY;
    s->orphans[s->lost++] = (int32_t)pixel;
}

// Send what fits from the root over `end` and its link `d` to a pixel that lacks.
static void send(Search *s, int64_t end, int d) {
    const int64_t other = end + s->offsets[d];
    int64_t amount = *room(s, end, d);
    if (-s->excess[other] < amount) amount = -s->excess[other];
    int64_t pixel = end;
    while (s->parent[pixel] != ROOT) {
        const int up = s->parent[pixel];
        pixel += s->offsets[up];
        const int64_t fits = *room(s, pixel, up ^ BACK);
        if (fits < amount) amount = fits;
    }
    if (s->excess[pixel] < amount) amount = s->excess[pixel];

    *room(s, end, d) -= (int32_t)amount;
    *room(s, other, d ^ BACK) += (int32_t)amount;
    s->excess[other] += amount;
    pixel = end;
    while (s->parent[pixel] != ROOT) {
        const int up = s->parent[pixel];
        const int64_t above = pixel + s->offsets[up];
        *room(s, pixel, up) += (int32_t)amount;
        *room(s, above, up ^ BACK) -= (int32_t)amount;
        if (*room(s, above, up ^ BACK) == 0) orphan(s, pixel);
        pixel = above;
    }
    s->excess[pixel] -= amount;
    if (s->excess[pixel] == 0) orphan(s, pixel);
}

// Return the distance of a pixel from its root, -1 if the way there ends at an orphan. The
// distances of all pixels on the way are then known for the rest of this round.
static int32_t distance(Search *s, int64_t start) {
    int32_t length = 0;
    for (int64_t pixel = start;; pixel = towards_root(s, pixel)) {
        if (s->stamp[pixel] == s->now) {
            length += s->depth[pixel];
            break;
        }
        if (s->parent[pixel] == NOBODY) return -1;
        length++;
        if (s->parent[pixel] == ROOT) {
            s->stamp[pixel] = s->now;
            s->depth[pixel] = 1;
            break;
        }
    }
    int32_t left = length;
    for (int64_t pixel = start; s->stamp[pixel] != s->now; pixel = towards_root(s, pixel)) {
        s->stamp[pixel] = s->now;
        s->depth[pixel] = left--;
    }
    return length;
}

// Give each orphan the parent that is nearest to a root, or let it leave its tree.
static void adopt(Search *s) {
    for (int64_t done = 0; done < s->lost; done++) {
        const int64_t pixel = s->orphans[done];
        int nearest = NOBODY;
        int32_t best = INT32_MAX;
        for (int d = 0; d < DIRECTIONS; d++) {
            const int64_t other = pixel + s->offsets[d];
            if (!s->reached[other] || s->parent[other] == NOBODY) continue;
            if (*room(s, other, d ^ BACK) == 0) continue;
            const int32_t length = distance(s, other);
            if (length > 0 && length < best) {
                nearest = d;
                best = length;
            }
        }
        if (nearest != NOBODY) {
            s->parent[pixel] = (uint8_t)nearest;
            s->stamp[pixel] = s->now;
            s->depth[pixel] = best + 1;
            continue;
        }
        s->reached[pixel] = false;
        for (int d = 0; d < DIRECTIONS; d++) {
            const int64_t other = pixel + s->offsets[d];
            if (!s->reached[other]) continue;
            if (*room(s, other, d ^ BACK) > 0) enqueue(s, other);
            if (s->parent[other] == (d ^ BACK)) orphan(s, other);
        }
    }
    s->lost = 0;
}

// Find a largest flow; in the end `reached` says where excess can still come. Trees grow from all
// pixels with excess; where they touch a pixel that lacks, flow is sent along the branch. `depth`,
// `stamp` and `queued` are all zeros.
void augment(int64_t *excess, int32_t *capacity, const int64_t *offsets, int64_t count,
             bool *reached, uint8_t *parent, int32_t *depth, int32_t *stamp, int32_t *queue,
             bool *queued, int32_t *orphans) {
    Search s = {.excess = excess,
                .capacity = capacity,
                .offsets = offsets,
                .count = count,
                .reached = reached,
                .parent = parent,
                .depth = depth,
                .stamp = stamp,
                .queue = queue,
                .queued = queued,
                .orphans = orphans};
    for (int64_t root = 0; root < count; root++) {
        reached[root] = excess[root] > 0;
        parent[root] = reached[root] ? ROOT : NOBODY;
        if (!reached[root]) continue;
        depth[root] = 1;
        enqueue(&s, root);
    }
    while (s.waiting > 0) {
        const int64_t pixel = queue[s.head];
        s.head = s.head + 1 < count ? s.head + 1 : 0;
        s.waiting--;
        queued[pixel] = false;
        for (int d = 0; d < DIRECTIONS && reached[pixel];) {
            const int64_t other = pixel + offsets[d];
            if (*room(&s, pixel, d) == 0 || reached[other]) {
                d++;
            } else if (excess[other] >= 0) {
                reached[other] = true;
                parent[other] = (uint8_t)(d ^ BACK);
                stamp[other] = stamp[pixel];
                depth[other] = depth[pixel] + 1;
                enqueue(&s, other);
                d++;
            } else {
                s.now++;
                send(&s, pixel, d);
                adopt(&s);
            }
        }
    }
}
