/* Names and small macros for the assembly sources: ELFv1 function descriptors, 64-bit constants. */
#ifndef ASSEMBLY_H
#define ASSEMBLY_H

#include "frame.h"

/* In ELFv1 the symbol of a function is its descriptor in .opd; the code itself gets a local label. */
#define FUNCTION(name)                                  \
        .section ".opd", "aw";                          \
        .balign 8;                                      \
        .globl  name;                                   \
name:   .quad   .L.##name, .TOC.@tocbase, 0;            \
        .type   name, @function;                        \
        .text;                                          \
        .balign 4;                                      \
.L.##name:

#define END_FUNCTION(name)                              \
        .size   name, . - .L.##name

/* For functions that nothing called: a debugger's back trace ends in them. */
#define OUTERMOST_FUNCTION(name)                        \
        .cfi_sections .debug_frame;                     \
        FUNCTION(name);                                 \
        .cfi_startproc;                                 \
        .cfi_undefined 65

#define END_OUTERMOST_FUNCTION(name)                    \
        .cfi_endproc;                                   \
        END_FUNCTION(name)

#define LOAD_IMMEDIATE(register, value)                 \
        lis     register, value@highest;                \
        ori     register, register, value@higher;       \
        sldi    register, register, 32;                 \
        oris    register, register, value@high;         \
        ori     register, register, value@l

#endif
