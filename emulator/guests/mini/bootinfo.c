/* What the boot program tells the kernel. Offsets of the 64-bit structure, size 0x3560, as K42 of 2005 lays it out. */
#include "kernel.h"

enum {
    MEMORY_SIZE = 0x28,
    ON_HYPERVISOR = 0x118,
    WIRE_CHANNEL_OFFSET = 0x11a,
    WIRE_INIT = 0x11b,
    TIMEBASE_FREQUENCY = 0x360,
    BOOT_DATA = 0xc10,
    BOOT_DATA_SIZE = 4096,
    SERIAL_PORT_ADDRESS = 0x1cb0,
};

static u8 *bootinfo;

void bootinfo_open(u8 *block)
{
    bootinfo = block;
}

static u64 doubleword(size_t offset)
{
    return *(u64 *)(bootinfo + offset);
}

u64 bootinfo_memory_size(void)
{
    return doubleword(MEMORY_SIZE);
}

u64 bootinfo_timebase_frequency(void)
{
    return doubleword(TIMEBASE_FREQUENCY);
}

u64 bootinfo_serial_address(void)
{
    return doubleword(SERIAL_PORT_ADDRESS);
}

bool bootinfo_has_hypervisor(void)
{
    return bootinfo[ON_HYPERVISOR] != 0;
}

unsigned bootinfo_select_offset(void)
{
    return bootinfo[WIRE_CHANNEL_OFFSET];
}

bool bootinfo_wire_is_up(void)
{
    return bootinfo[WIRE_INIT] != 0;
}

void bootinfo_set_wire_up(bool up)
{
    bootinfo[WIRE_INIT] = up;
}

/* The value of NAME in the kernel parameters, or NULL. The block: a count of parts (1), the length of the part with
 * its own four bytes, then "KBootParms" and NAME=VALUE texts, each ended by a NUL. */
const char *boot_parameter(const char *name)
{
    static const char title[] = "KBootParms";
    const u8 *data = bootinfo + BOOT_DATA;
    u32 length = *(const u32 *)(data + 4);
    const char *text = (const char *)data + 8;
    const char *end = (const char *)data + 4 + length;

    if (*(const u32 *)data != 1 || length > BOOT_DATA_SIZE - 4 || length < 4 + sizeof title) {
        return NULL;
    }
    if (strncmp(text, title, sizeof title) != 0 || end[-1] != '\0') {
        return NULL;
    }
    size_t width = strlen(name);
    for (text += sizeof title; text < end; text += strlen(text) + 1) {
        if (strncmp(text, name, width) == 0 && text[width] == '=') {
            return text + width + 1;
        }
    }
    return NULL;
}
