// The loops of colour_models.py over colours, each one pass.

#include <float.h>
#include <stdbool.h>
#include <stdint.h>

enum { CHANNELS = 3, PRECISIONS = 6 };

// The exponent of a Gaussian at a distance from its mean; p: inverse covariance, upper triangle.
static inline double exponent(double x, double y, double z, const double *p) {
    return -0.5 * (p[0] * x * x + p[3] * y * y + p[5] * z * z +
                   2 * (p[1] * x * y + p[2] * x * z + p[4] * y * z));
}

// Write the exponent of each of `components` Gaussians at each colour, out [K, N].
void log_densities(const double *restrict colours, int64_t count, const double *means,
                   const double *precisions, int64_t components, double *restrict out) {
    const double *red = colours, *green = colours + count, *blue = colours + 2 * count;
    for (int64_t k = 0; k < components; k++) {
        const double *mean = means + k * CHANNELS, *precision = precisions + k * PRECISIONS;
        for (int64_t i = 0; i < count; i++)
            out[k * count + i] =
                exponent(red[i] - mean[0], green[i] - mean[1], blue[i] - mean[2], precision);
    }
}

// Add up the moments [rows, N] of the colours at which each Gaussian is densest, sums [K, rows].
// The first rows are the count and the sums of the channels.
void sums_of_densest(const double *restrict moments, int64_t rows, int64_t count,
                     const double *means, const double *precisions, const double *log_scales,
                     int64_t components, double *restrict sums) {
    for (int64_t i = 0; i < count; i++) {
        const double pixels = moments[i];
        if (pixels == 0) continue;
        const double red = moments[count + i] / pixels, green = moments[2 * count + i] / pixels,
                     blue = moments[3 * count + i] / pixels;
        double largest = -DBL_MAX;
        int64_t densest = 0;
        for (int64_t k = 0; k < components; k++) {
            const double *mean = means + k * CHANNELS;
            const double density = exponent(red - mean[0], green - mean[1], blue - mean[2],
                                            precisions + k * PRECISIONS) +
                                   log_scales[k];
            if (density > largest) {
                largest = density;
                densest = k;
            }
        }
        for (int64_t m = 0; m < rows; m++) sums[densest * rows + m] += moments[m * count + i];
    }
}

// Write squared distances from the nearest centre, given those before there was one more; return
// their sum over pixels.
static double come_closer(const double *points, const double *counts, int64_t count,
                          const double *centre, const double *before, double *after) {
    double total = 0;
    for (int64_t i = 0; i < count; i++) {
        const double x = points[i] - centre[0], y = points[count + i] - centre[1],
                     z = points[2 * count + i] - centre[2];
        const double distance = x * x + y * y + z * z;
        after[i] = distance < before[i] ? distance : before[i];
        total += counts[i] * after[i];
    }
    return total;
}

// Write the colour at which a share of all weights is passed; the last one if they are all 0.
static void draw(const double *points, const double *running, int64_t count, double share,
                 double *colour) {
    const double wanted = share * running[count - 1];
    int64_t low = 0, high = count - 1;
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (running[middle] > wanted)
            high = middle;
        else
            low = middle + 1;
    }
    for (int c = 0; c < CHANNELS; c++) colour[c] = points[c * count + low];
}

// Write first centres [clusters, 3]: one drawn from the pixels, each further one the best of
// `trials` drawn with probability proportional to the squared distance from those so far.
// `uniform` has a random number for each draw.
static void first_centres(const double *points, const double *counts, int64_t count,
                          const double *uniform, int64_t trials, double *centres, int64_t clusters,
                          double *scratch) {
    double *running = scratch, *distances = scratch + count, *best = scratch + 2 * count,
           *tried = scratch + 3 * count, sum = 0;
    for (int64_t i = 0; i < count; i++) {
        running[i] = sum += counts[i];
        distances[i] = DBL_MAX;
    }
    draw(points, running, count, *uniform++, centres);
    come_closer(points, counts, count, centres, distances, distances);
    for (int64_t k = 1; k < clusters; k++) {
        sum = 0;
        for (int64_t i = 0; i < count; i++) running[i] = sum += counts[i] * distances[i];
        double lowest = DBL_MAX;
        for (int64_t t = 0; t < trials; t++) {
            double candidate[CHANNELS];
            draw(points, running, count, *uniform++, candidate);
            const double total = come_closer(points, counts, count, candidate, distances, tried);
            if (total >= lowest) continue;
            lowest = total;
            for (int c = 0; c < CHANNELS; c++) centres[k * CHANNELS + c] = candidate[c];
            double *other = best;
            best = tried;
            tried = other;
        }
        double *other = distances;
        distances = best;
        best = other;
    }
}

// Write the nearest of `clusters` centres of each colour, the first of several; write the sums of
// counts and channels per centre and, into `total`, the squared distance over pixels. Return
// whether any label changed.
static bool assign(const double *restrict points, const double *restrict moments, int64_t count,
                   const double *restrict centres, int64_t clusters, int32_t *restrict labels,
                   double (*restrict sums)[1 + CHANNELS], double *total) {
    bool changed = false;
    double sum = 0;
    for (int64_t k = 0; k < clusters; k++)
        for (int m = 0; m <= CHANNELS; m++) sums[k][m] = 0;
    for (int64_t i = 0; i < count; i++) {
        double lowest = DBL_MAX;
        int32_t label = 0;
        for (int32_t k = 0; k < clusters; k++) {
            const double *centre = centres + k * CHANNELS;
            const double x = points[i] - centre[0], y = points[count + i] - centre[1],
                         z = points[2 * count + i] - centre[2];
            const double distance = x * x + y * y + z * z;
            if (distance < lowest) {
                lowest = distance;
                label = k;
            }
        }
        changed |= labels[i] != label;
        labels[i] = label;
        sum += moments[i] * lowest;
        for (int m = 0; m <= CHANNELS; m++) sums[label][m] += moments[m * count + i];
    }
    *total = sum;
    return changed;
}

// K-means of colours with moments [rows, N], from centres of k-means++: until nothing changes or
// for `rounds`; an empty cluster keeps its centre. Write the labels [N], and return the squared
// distance from the centres, summed over pixels. Scratch: centres [clusters, 3], sums [clusters,
// 4], scratch [4, N].
double kmeans(const double *points, const double *moments, int64_t count, const double *uniform,
              int64_t trials, int64_t clusters, int64_t rounds, int32_t *labels, double *centres,
              double (*sums)[1 + CHANNELS], double *scratch) {
    first_centres(points, moments, count, uniform, trials, centres, clusters, scratch);
    double total;
    for (int64_t i = 0; i < count; i++) labels[i] = -1;
    bool changed = assign(points, moments, count, centres, clusters, labels, sums, &total);
    for (int64_t round = 0; changed && round < rounds; round++) {
        for (int64_t k = 0; k < clusters; k++)
            for (int c = 0; c < CHANNELS && sums[k][0] > 0; c++)
                centres[k * CHANNELS + c] = sums[k][1 + c] / sums[k][0];
        changed = assign(points, moments, count, centres, clusters, labels, sums, &total);
    }
    return total;
}

// Add the moments [rows, N] of each member to those of its group, out [rows, groups].
void add(const double *restrict moments, int64_t rows, int64_t count, const int32_t *group,
         double *restrict out, int64_t groups) {
    for (int64_t row = 0; row < rows; row++)
        for (int64_t i = 0; i < count; i++)
            out[row * groups + group[i]] += moments[row * count + i];
}
