// Sets that are joined by many threads at once: each element points at one that is not larger, the
// smallest of a set at itself. Playne & Hawick 2018, IEEE TPDS 29, 1217.
#pragma once

// What an element points at; read as a whole while others write.
inline __device__ int parent_of(int* parents, const int k) { return atomicOr(parents + k, 0); }

// The smallest element of the set that has been joined so far. The way is halved for those that
// come after: many that follow each other make a long one.
inline __device__ int root_of(int* parents, int k)
{
    int parent = parent_of(parents, k);
    while (parent != k) {
        const int next = parent_of(parents, parent);
        if (next != parent) atomicMin(parents + k, next);
        k = parent;
        parent = next;
    }
    return k;
}

// Make an element point at the smallest of its set, when all sets have been joined, and return it.
// The others do the same meanwhile, so that ways become half as long at each step.
inline __device__ int flatten(int* parents, const int k)
{
    int parent = parent_of(parents, k);
    for (int next = parent_of(parents, parent); next != parent; next = parent_of(parents, parent)) {
        atomicMin(parents + k, next);
        parent = next;
    }
    return parent;
}

// Make one set of those of two elements.
inline __device__ void join(int* parents, int a, int b)
{
    while (true) {
        a = root_of(parents, a);
        b = root_of(parents, b);
        if (a == b) return;
        const int larger = max(a, b), smaller = min(a, b);
        const int before = atomicMin(parents + larger, smaller);
        if (before == larger) return;
        // Another thread was quicker: what it joined must be joined with the smaller, too.
        a = before;
        b = smaller;
    }
}
