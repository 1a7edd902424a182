/* proxy SOCKET ADDRESS: carries every connection to a Unix socket on to an address, for ever. */
#include "common.h"
#include <sys/un.h>

struct ends {
  int from, to;
};

static void *carry(void *given) {
  struct ends ends = *(struct ends *)given;
  free(given);
  char bytes[65536];
  ssize_t count;
  while ((count = read(ends.from, bytes, sizeof bytes)) > 0) {
    for (ssize_t done = 0, wrote; done < count; done += wrote)
      if ((wrote = send(ends.to, bytes + done, (size_t)(count - done), MSG_NOSIGNAL)) <= 0) goto end;
  }
end:
  /* Either side's end is the other's; both are closed with the process. */
  shutdown(ends.to, SHUT_WR);
  shutdown(ends.from, SHUT_RD);
  return NULL;
}

static void carry_on_a_thread(int from, int to) {
  struct ends *ends = malloc(sizeof *ends);
  *ends = (struct ends){from, to};
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, carry, ends) == 0);
  pthread_detach(thread);
}

int main(int count, char **arguments) {
  CHECK(count == 3);
  struct sockaddr_un name = {.sun_family = AF_UNIX};
  CHECK(strlen(arguments[1]) < sizeof name.sun_path);
  strcpy(name.sun_path, arguments[1]);
  int listener = socket(AF_UNIX, SOCK_STREAM, 0);
  CHECK(bind(listener, (struct sockaddr *)&name, sizeof name) == 0 && listen(listener, 8) == 0);
  puts("ready");
  fflush(stdout);
  for (;;) {
    int client = accept(listener, NULL, NULL);
    CHECK(client >= 0);
    struct shipmate_error error;
    int server = shipmate_connect(arguments[2], NULL, &error);
    if (server < 0) {
      close(client);
      continue;
    }
    carry_on_a_thread(client, server);
    carry_on_a_thread(server, client);
  }
}
