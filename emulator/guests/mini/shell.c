/* The shell on channel 0: prompt, line, words, command.
 *
 * `prompt` and `verbosity` are there to be changed from a debugger: the console shows the effect at the next line.
 */
#include "kernel.h"

enum { LINE = 128, WORDS = 16 };

char prompt[16] = "mini> ";

/* 0: no greeting; 1: as one would expect; 2: also how many ticks each command took. */
int verbosity = 1;

static int split(char *line, char **words)
{
    int count = 0;
    while (count < WORDS) {
        while (*line == ' ') {
            *line++ = '\0';
        }
        if (*line == '\0') {
            break;
        }
        words[count++] = line;
        while (*line != ' ' && *line != '\0') {
            line++;
        }
    }
    return count;
}

static const struct command *find(const char *name)
{
    for (const struct command *command = commands; command->name != NULL; command++) {
        if (strcmp(command->name, name) == 0) {
            return command;
        }
    }
    return NULL;
}

static void execute(char *line)
{
    char *words[WORDS];
    int count = split(line, words);
    if (count == 0) {
        return;
    }
    const struct command *command = find(words[0]);
    if (command == NULL) {
        console_print("unknown command '%s'; 'help' lists what there is\n", words[0]);
        return;
    }
    u64 started = ticks;
    command->run(count, words);
    if (verbosity >= 2) {
        console_print("[%lu ticks]\n", ticks - started);
    }
}

_Noreturn void shell(void)
{
    char line[LINE];
    if (verbosity >= 1) {
        console_print("'help' lists the commands\n");
    }
    for (;;) {
        console_print("%s", prompt);
        editor_line(line, sizeof line);
        execute(line);
    }
}
