/* What the programs share: checks that end the program, and small helpers. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <shipmate.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK(condition)                                                                   \
  do {                                                                                     \
    if (!(condition)) {                                                                    \
      fprintf(stderr, "%s:%d: not so: %s (errno: %s)\n", __FILE__, __LINE__, #condition, strerror(errno)); \
      exit(1);                                                                             \
    }                                                                                      \
  } while (0)

/* A call that must succeed; what it returns. */
#define MUST(call)                                                                                         \
  __extension__({                                                                                          \
    struct shipmate_error error_;                                                                          \
    struct shipmate_error *error = &error_;                                                                \
    int result_ = (call);                                                                                  \
    if (result_ < 0) {                                                                                     \
      fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, shipmate_error_name(error->code), error->message); \
      exit(1);                                                                                             \
    }                                                                                                      \
    result_;                                                                                               \
  })

/* A call that must fail with this code, and with this word in its text. */
#define FAILS(expected, word, call)                                                                        \
  do {                                                                                                     \
    struct shipmate_error error_;                                                                          \
    struct shipmate_error *error = &error_;                                                                \
    memset(error, 0x55, sizeof *error);                                                                    \
    int result_ = (call);                                                                                  \
    if (result_ != -1 || error->code != (expected) || !strstr(error->message, word)) {                     \
      fprintf(stderr, "%s:%d: %s gave %d, code %d: %.504s\n", __FILE__, __LINE__, #call, result_, error->code, \
              error->message);                                                                             \
      exit(1);                                                                                             \
    }                                                                                                      \
  } while (0)

static inline int open_descriptors(void) {
  DIR *folder = opendir("/proc/self/fd");
  CHECK(folder);
  int count = 0;
  while (readdir(folder)) count++;
  closedir(folder);
  return count;
}

static inline void write_all(int fd, const void *bytes, size_t size) {
  for (const char *next = bytes; size > 0;) {
    ssize_t count = send(fd, next, size, MSG_NOSIGNAL);
    CHECK(count > 0);
    next += count;
    size -= (size_t)count;
  }
}

static inline void read_all(int fd, void *bytes, size_t size) {
  for (char *next = bytes; size > 0;) {
    ssize_t count = read(fd, next, size);
    CHECK(count > 0);
    next += count;
    size -= (size_t)count;
  }
}

static inline void read_to_end(int fd) {
  char bytes[4096];
  ssize_t count;
  while ((count = read(fd, bytes, sizeof bytes)) > 0) {
  }
  CHECK(count == 0);
}

/* Asks for the server's bootstrap capability: (bootstrap = (questionId = 0)) as a Message of rpc.capnp. */
static inline void ask_for_bootstrap(int fd) {
  static const unsigned char question[] = {
      0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 8, 0, 0, 0, 0, 0, 0, 0,
      0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
  };
  write_all(fd, question, sizeof question);
}

/* Reads the answer, which is a frame of a few segments at most. */
static inline void read_answer(int fd) {
  uint32_t segments, words, total = 0;
  read_all(fd, &segments, sizeof segments);
  CHECK(segments < 8);
  for (uint32_t index = 0; index <= segments; index++) {
    read_all(fd, &words, sizeof words);
    total += words;
  }
  if (segments % 2 == 1) read_all(fd, &words, sizeof words);
  CHECK(total > 0 && total < 1000);
  unsigned char answer[8000];
  read_all(fd, answer, 8 * (size_t)total);
}
