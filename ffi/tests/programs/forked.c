/* forked ADDRESS RECEIVER: uses the library before and after a fork. */
#include "common.h"

static void talk(const char *address) {
  int fd = MUST(shipmate_connect(address, NULL, error));
  ask_for_bootstrap(fd);
  read_answer(fd);
  close(fd);
}

int main(int count, char **arguments) {
  CHECK(count == 3);
  talk(arguments[1]);
  shipmate_sender *sender;
  MUST(shipmate_sender_open(arguments[2], NULL, &sender, error));
  uint64_t root = 0;
  struct shipmate_segment segment = {&root, sizeof root};

  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    talk(arguments[1]);
    FAILS(SHIPMATE_ERROR_MISUSE, "parent", shipmate_sender_send(sender, &segment, 1, error));
    FAILS(SHIPMATE_ERROR_MISUSE, "parent", shipmate_sender_close(sender, error));
    return 0;
  }
  int status;
  CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
  talk(arguments[1]);
  MUST(shipmate_sender_send(sender, &segment, 1, error));
  MUST(shipmate_sender_close(sender, error));
  return 0;
}
