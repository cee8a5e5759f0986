/* What the stub says and hears, for gdb_stub.c. */
#ifndef GDB_PACKET_H
#define GDB_PACKET_H

#include "kernel.h"

/* Whether each packet is shown on the console. */
extern bool packet_show_traffic;

const char *packet_receive(void);

/* A reply is NUL-terminated text at reply_text, sent by reply_send(); the others put it there themselves. */
extern char *const reply_text;
void reply_send(void);
void reply(const char *text);
void reply_number(char letter, u8 number);
void reply_bytes(const void *bytes, size_t count);

bool take_number(const char **text, u64 *value);
bool take_letter(const char **text, char letter);
u8 take_byte(const char **text);
char *put_byte(char *out, u8 byte);
void stub_strcpy(char *to, const char *from);

#endif
