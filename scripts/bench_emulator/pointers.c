/* Translation on: a tree of 16,384 nodes, spread over 1 MB, searched from the root. */
typedef unsigned long u64;

#include "translation.h"

struct node {
    u64 key;
    struct node *less, *greater;
    u64 visits;
};

#define NODES 16384UL

u64 workload(u64 rounds)
{
    translation_on();
    struct node *nodes = (struct node *)(WINDOW + 0x1000000UL), *root = nodes;
    u64 sum = 0, key = 1;
    for (u64 n = 0; n < NODES; n++) {
        key = key * 6364136223846793005UL + 1442695040888963407UL;
        struct node *fresh = nodes + (n * 4099 & (NODES - 1)), **place = &root;
        fresh->key = key >> 16;
        fresh->less = fresh->greater = 0;
        fresh->visits = 0;
        for (place = n ? &root : 0; place && *place;)
            place = fresh->key < (*place)->key ? &(*place)->less : &(*place)->greater;
        if (place)
            *place = fresh;
    }
    while (rounds--) {
        key = key * 6364136223846793005UL + 1442695040888963407UL;
        for (struct node *at = root; at; at = key >> 16 < at->key ? at->less : at->greater)
            sum += ++at->visits & 3;
    }
    translation_off();
    return sum;
}
