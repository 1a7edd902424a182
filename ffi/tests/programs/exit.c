/* exit ADDRESS: writes a lot, and ends at once. */
#include "common.h"

int main(int count, char **arguments) {
  CHECK(count == 2);
  int fd = MUST(shipmate_connect(arguments[1], NULL, error));
  static char bytes[4 << 20];
  memset(bytes, 'x', sizeof bytes);
  write_all(fd, bytes, sizeof bytes);
  return 0;
}
