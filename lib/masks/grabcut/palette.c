// The dictionary of palette.py.

#include <stdint.h>

static const uint32_t SPREAD = 2654435769u; // 2^32 / golden ratio: neighbours end up far apart

// Write the number of each of `count` values and the values found; return how many there are.
// `slots` is all zeros, 2^bits of them; one holds a number + 1, or 0 while it is free.
int64_t number(const int32_t *values, int64_t count, int64_t bits, int32_t *slots, int32_t *numbers,
               int32_t *found) {
    const uint32_t mask = ((uint32_t)1 << bits) - 1;
    int32_t numbered = 0;
    for (int64_t i = 0; i < count; i++) {
        const int32_t value = values[i];
        uint32_t slot = ((uint32_t)value * SPREAD) >> (32 - bits);
        while (slots[slot] != 0 && found[slots[slot] - 1] != value) slot = (slot + 1) & mask;
        if (slots[slot] == 0) {
            found[numbered++] = value;
            slots[slot] = numbered;
        }
        numbers[i] = slots[slot] - 1;
    }
    return numbered;
}
