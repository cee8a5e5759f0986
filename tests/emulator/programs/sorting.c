/* Quicksort through a function pointer, heapsort, and merging of a list. */
#include "program.h"

struct item {
    i32 key;
    u16 tag;
    u8 extra[3];
};
typedef int order(const void *, const void *);

static int by_key(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    return x->key < y->key ? -1 : x->key > y->key ? 1 : (int)x->tag - (int)y->tag;
}

static int by_tag(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    return (int)y->tag - (int)x->tag;
}

static void swap(u8 *a, u8 *b, size_t size)
{
    while (size--) {
        u8 t = *a;
        *a++ = *b;
        *b++ = t;
    }
}

static NOINLINE void quicksort(void *base, size_t count, size_t size, order *compare)
{
    u8 *b = base;
    if (count < 2)
        return;
    swap(b, b + count / 2 * size, size);
    size_t last = 0;
    for (size_t i = 1; i < count; i++)
        if (compare(b + i * size, b) < 0)
            swap(b + ++last * size, b + i * size, size);
    swap(b, b + last * size, size);
    quicksort(b, last, size, compare);
    quicksort(b + (last + 1) * size, count - last - 1, size, compare);
}

static NOINLINE void heapsort_doubles(double *a, int n)
{
    for (int start = n / 2 - 1, end = n; end > 1;) {
        int root;
        if (start >= 0)
            root = start--;
        else {
            double t = a[--end];
            a[end] = a[0];
            a[root = 0] = t;
        }
        for (int child; (child = 2 * root + 1) < end; root = child) {
            if (child + 1 < end && a[child] < a[child + 1])
                child++;
            if (!(a[root] < a[child]))
                break;
            double t = a[root];
            a[root] = a[child];
            a[child] = t;
        }
    }
}

struct node {
    struct node *next;
    i64 value;
};

static NOINLINE struct node *merge_sort(struct node *list)
{
    if (!list || !list->next)
        return list;
    struct node *slow = list, *fast = list->next, *out = 0, **tail = &out;
    for (; fast && fast->next; fast = fast->next->next)
        slow = slow->next;
    struct node *b = merge_sort(slow->next);
    slow->next = 0;
    struct node *a = merge_sort(list);
    while (a && b) {
        struct node **least = a->value <= b->value ? &a : &b;
        *tail = *least;
        tail = &(*least)->next;
        *least = *tail;
    }
    *tail = a ? a : b;
    return out;
}

void sorting(void)
{
    static struct item items[120];
    static double reals[100];
    static struct node nodes[100];
    u64 seed = 42, hash = 0;
    for (int i = 0; i < 120; i++)
        items[i] = (struct item){(i32)next_random(&seed) >> 20, i * 7 % 120, {i, i >> 1, i ^ 5}};
    quicksort(items, 120, sizeof *items, by_key);
    for (int i = 0; i < 120; i += 7)
        print("%d/%u/%u ", items[i].key, items[i].tag, items[i].extra[2]);
    quicksort(items, 120, sizeof *items, by_tag);
    for (int i = 0; i < 120; i++)
        hash = hash * 131 + items[i].tag + items[i].key;
    print("\n%016lx\n", hash);
    for (int i = 0; i < 100; i++)
        reals[i] = (double)(i64)next_random(&seed) / 1048576.0;
    heapsort_doubles(reals, 100);
    for (int i = 0; i < 100; i++)
        hash = hash * 131 + bits_of(reals[i]) + (i && reals[i - 1] > reals[i]);
    print("%016lx\n", hash);
    for (int i = 0; i < 100; i++)
        nodes[i] = (struct node){i < 99 ? &nodes[i + 1] : 0, (i64)next_random(&seed)};
    for (struct node *n = merge_sort(nodes); n; n = n->next)
        hash = hash * 131 + n->value;
    print("%016lx\n", hash);
}
