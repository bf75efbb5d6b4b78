// The matching of coco_match.py.

#include <stdbool.h>
#include <stdint.h>

enum { WRONG, RIGHT, NEITHER };

// Write verdicts [A, T, D] on `detections`, best score first, by their overlap [D, G] with
// `instances`; `taken` [G] is scratch.
void verdicts(const double *overlap, int64_t detections, int64_t instances, const bool *ignored,
              int64_t ranges, const bool *crowd, const double *thresholds, int64_t levels,
              bool *restrict taken, uint8_t *restrict found) {
    for (int64_t a = 0; a < ranges; a++) {
        const bool *uncounted = ignored + a * instances;
        for (int64_t t = 0; t < levels; t++) {
            for (int64_t g = 0; g < instances; g++) taken[g] = false;
            for (int64_t d = 0; d < detections; d++) {
                const double *with = overlap + d * instances;
                double best = thresholds[t] < 1 - 1e-10 ? thresholds[t] : 1 - 1e-10;
                int64_t match = -1;
                for (int pass = 0; pass < 2 && match < 0; pass++)
                    for (int64_t g = 0; g < instances; g++) {
                        if (uncounted[g] != (pass == 1) || (taken[g] && !crowd[g])) continue;
                        if (with[g] < best) continue;
                        best = with[g];
                        match = g;
                    }
                uint8_t verdict = WRONG;
                if (match >= 0) {
                    taken[match] = true;
                    verdict = uncounted[match] ? NEITHER : RIGHT;
                }
                found[(a * levels + t) * detections + d] = verdict;
            }
        }
    }
}
