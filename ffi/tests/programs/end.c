/* end ADDRESS: connects, says so, and learns that the server was killed. */
#include "common.h"

int main(int count, char **arguments) {
  CHECK(count == 2);
  int fd = MUST(shipmate_connect(arguments[1], NULL, error));
  ask_for_bootstrap(fd);
  read_answer(fd);
  puts("connected");
  fflush(stdout);

  char byte;
  CHECK(read(fd, &byte, 1) == 0);
  /* The first may be on its way before the library learns that it is in vain. */
  while (send(fd, &byte, 1, MSG_NOSIGNAL) == 1) poll(NULL, 0, 1);
  CHECK(errno == EPIPE);

  FAILS(SHIPMATE_ERROR_UNREACHABLE, "nobody answers", shipmate_connect(arguments[1], NULL, error));
  return 0;
}
