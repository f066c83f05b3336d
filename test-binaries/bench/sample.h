/*
 * Times a loop in chunks, so that a moment taken by another program spoils a chunk and not the figure.
 *
 *     struct sample s;
 *     for (sample_begin(&s, "200ms", 128); sample_next(&s);)
 *         operation();
 *     sample_print(&s);
 *
 * The limit is a time ("200ms") or a number of operations ("5000"). The includer defines sample_now(), in nanoseconds.
 * sample_print writes "MEDIAN MEAN OPERATIONS": nanoseconds an operation, of the median chunk and over all.
 */
#ifndef SAMPLE_H
#define SAMPLE_H
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static long long sample_now(void);

enum { SAMPLE_CHUNKS = 1 << 16 };

struct sample {
    long operations, most, chunk;
    long long begin, chunk_begin, end, most_ns;
    int chunks;
    double per_operation[SAMPLE_CHUNKS];
};

static inline void sample_begin(struct sample *s, const char *limit, long chunk)
{
    char *unit;
    long number = strtol(limit, &unit, 10);
    memset(s, 0, offsetof(struct sample, per_operation));
    s->chunk = chunk;
    if (!strcmp(unit, "ms"))
        s->most_ns = number * 1000000LL, s->most = -1;
    else
        s->most = number;
    s->begin = s->chunk_begin = s->end = sample_now();
}

/* Says whether there is another operation to do. */
static inline int sample_next(struct sample *s)
{
    if (s->operations && s->operations % s->chunk == 0) {
        s->end = sample_now();
        if (s->chunks < SAMPLE_CHUNKS)
            s->per_operation[s->chunks++] = (double)(s->end - s->chunk_begin) / (double)s->chunk;
        s->chunk_begin = s->end;
    }
    if (s->most >= 0 ? s->operations >= s->most : s->end - s->begin >= s->most_ns) {
        s->end = sample_now();
        return 0;
    }
    s->operations++;
    return 1;
}

static int sample_compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static inline void sample_print(struct sample *s)
{
    double mean = s->operations ? (double)(s->end - s->begin) / (double)s->operations : 0;
    /* The first chunks warm caches up. */
    int first = s->chunks / 10, count = s->chunks - first;
    qsort(s->per_operation + first, count, sizeof *s->per_operation, sample_compare);
    printf("%.1f %.1f %ld\n", count ? s->per_operation[first + count / 2] : mean, mean, s->operations);
    fflush(stdout);
}
#endif
