/* connect ADDRESS: a thousand connections, on four threads, which leave nothing behind. */
#include "common.h"

enum { THREADS = 4, CONNECTIONS = 250 };

static void *connect_again_and_again(void *address) {
  for (int number = 0; number < CONNECTIONS; number++) {
    int fd = MUST(shipmate_connect(address, NULL, error));
    ask_for_bootstrap(fd);
    if (number % 3 == 1) {
      read_answer(fd);
    } else if (number % 3 == 2) {
      /* Only our side ends; what the server still has to say comes. */
      CHECK(shutdown(fd, SHUT_WR) == 0);
      read_answer(fd);
      read_to_end(fd);
    }
    CHECK(close(fd) == 0);
  }
  return NULL;
}

int main(int count, char **arguments) {
  CHECK(count == 2);
  /* Starts the library's thread. */
  close(MUST(shipmate_connect(arguments[1], NULL, error)));
  int before = open_descriptors();

  pthread_t threads[THREADS];
  for (int index = 0; index < THREADS; index++)
    CHECK(pthread_create(&threads[index], NULL, connect_again_and_again, arguments[1]) == 0);
  for (int index = 0; index < THREADS; index++) CHECK(pthread_join(threads[index], NULL) == 0);

  /* The last connections are being closed; a limit of a minute finds those that never are. */
  int open = before + 1;
  for (int waits = 0; waits < 60000 && (open = open_descriptors()) > before; waits++) usleep(1000);
  CHECK(open <= before);
  return 0;
}
