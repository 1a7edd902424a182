/* misuse FOLDER: what a program does wrong, and what a peer does wrong. */
#include "common.h"
#include <sys/un.h>

static char place[512];

static const char *at(const char *folder, const char *name) {
  snprintf(place, sizeof place, "unix:%s/%s", folder, name);
  return place;
}

static void arguments_of_connecting(const char *folder) {
  FAILS(SHIPMATE_ERROR_MISUSE, "NULL", shipmate_connect(NULL, NULL, error));
  FAILS(SHIPMATE_ERROR_ADDRESS, "write", shipmate_connect("", NULL, error));
  FAILS(SHIPMATE_ERROR_ADDRESS, "tcp:127.0.0.1:7700", shipmate_connect("tcp:localhost", NULL, error));
  FAILS(SHIPMATE_ERROR_ADDRESS, "write", shipmate_connect("\xff\xfe:/x", NULL, error));
  FAILS(SHIPMATE_ERROR_UNREACHABLE, "nobody", shipmate_connect(at(folder, "nobody"), NULL, error));
  CHECK(shipmate_connect("nonsense", NULL, NULL) == -1);

  struct shipmate_options options = SHIPMATE_OPTIONS_INIT;
  options.connect_timeout_ms = 5000;
  FAILS(SHIPMATE_ERROR_UNREACHABLE, "nobody", shipmate_connect(at(folder, "nobody"), &options, error));
  options.tier = 3;
  FAILS(SHIPMATE_ERROR_MISUSE, "options.tier", shipmate_connect(at(folder, "nobody"), &options, error));
  options = (struct shipmate_options)SHIPMATE_OPTIONS_INIT;
  options.size = 4096;
  FAILS(SHIPMATE_ERROR_MISUSE, "SHIPMATE_OPTIONS_INIT", shipmate_connect(at(folder, "nobody"), &options, error));

  /* A text that is far too long is cut off, and still a text. */
  char address[4096];
  memset(address, 'a', sizeof address - 1);
  address[sizeof address - 1] = 0;
  struct shipmate_error error;
  CHECK(shipmate_connect(address, NULL, &error) == -1 && strlen(error.message) == sizeof error.message - 1);
}

static void names(void) {
  CHECK(strcmp(shipmate_error_name(SHIPMATE_ERROR_UNREACHABLE), "unreachable") == 0);
  CHECK(strcmp(shipmate_error_name(-7), "unknown") == 0 && strcmp(shipmate_error_name(1000), "unknown") == 0);
  CHECK(strchr(shipmate_version(), '.'));
}

static void nothing_at_all(void) {
  shipmate_loan_cancel(NULL);
  shipmate_listener_close(NULL);
  shipmate_receiver_close(NULL);
  shipmate_message_return(NULL);
  CHECK(shipmate_sender_close(NULL, NULL) == 0);
  CHECK(shipmate_listener_address(NULL)[0] == 0);
  FAILS(SHIPMATE_ERROR_MISUSE, "NULL", shipmate_sender_open("unix:/x", NULL, NULL, error));
  FAILS(SHIPMATE_ERROR_MISUSE, "NULL", shipmate_receiver_listen("unix:/x", NULL, NULL, error));
  FAILS(SHIPMATE_ERROR_MISUSE, "NULL", shipmate_loan_publish(NULL, 8, error));
  struct shipmate_segment segment = {NULL, 0};
  FAILS(SHIPMATE_ERROR_MISUSE, "NULL", shipmate_sender_send(NULL, &segment, 1, error));
  const struct shipmate_message *message;
  FAILS(SHIPMATE_ERROR_MISUSE, "NULL", shipmate_receiver_receive(NULL, 0, &message, error));
}

static void segments(shipmate_sender *sender) {
  uint64_t words[4] = {0};
  struct shipmate_segment segment = {words, 8}, many[513];
  FAILS(SHIPMATE_ERROR_MISUSE, "segment", shipmate_sender_send(sender, NULL, 1, error));
  FAILS(SHIPMATE_ERROR_MISUSE, "segment", shipmate_sender_send(sender, &segment, 0, error));
  for (int index = 0; index < 513; index++) many[index] = segment;
  FAILS(SHIPMATE_ERROR_MISUSE, "512", shipmate_sender_send(sender, many, 513, error));
  segment.size = 12;
  FAILS(SHIPMATE_ERROR_MISUSE, "multiple of 8", shipmate_sender_send(sender, &segment, 1, error));
  segment = (struct shipmate_segment){(char *)words + 4, 8};
  FAILS(SHIPMATE_ERROR_MISUSE, "aligned", shipmate_sender_send(sender, &segment, 1, error));
  segment = (struct shipmate_segment){NULL, 8};
  FAILS(SHIPMATE_ERROR_MISUSE, "NULL", shipmate_sender_send(sender, &segment, 1, error));
  /* A pointer to what lies outside. */
  words[0] = (uint64_t)1000 << 32;
  segment = (struct shipmate_segment){words, sizeof words};
  FAILS(SHIPMATE_ERROR_MISUSE, "Cap'n Proto", shipmate_sender_send(sender, &segment, 1, error));
}

static void loans(shipmate_sender *sender) {
  shipmate_loan *loan, *second;
  void *memory, *other;
  FAILS(SHIPMATE_ERROR_MISUSE, "NULL", shipmate_sender_loan(sender, 8, NULL, &memory, error));
  FAILS(SHIPMATE_ERROR_MISUSE, "NULL", shipmate_sender_loan(sender, 8, &loan, NULL, error));
  FAILS(SHIPMATE_ERROR_LIMIT, "frame_bytes_max", shipmate_sender_loan(sender, (size_t)1 << 40, &loan, &memory, error));
  MUST(shipmate_sender_loan(sender, 1001, &loan, &memory, error));
  for (int index = 0; index < 1008; index++) CHECK(((char *)memory)[index] == 0);
  MUST(shipmate_sender_loan(sender, 8, &second, &other, error));
  CHECK(other != memory);
  shipmate_loan_cancel(second);
  uint64_t root = 0;
  struct shipmate_segment segment = {&root, 8};
  FAILS(SHIPMATE_ERROR_MISUSE, "1009", shipmate_loan_publish(loan, 1009, error));
  MUST(shipmate_sender_loan(sender, 8, &loan, &memory, error));
  shipmate_loan_cancel(loan);
  /* After all that, the sender goes on. */
  MUST(shipmate_sender_send(sender, &segment, 1, error));
}

static void a_receiver_that_is_gone(shipmate_sender *sender) {
  uint64_t root = 0;
  struct shipmate_segment segment = {&root, 8};
  struct shipmate_error error;
  while (shipmate_sender_send(sender, &segment, 1, &error) == 0) poll(NULL, 0, 1);
  CHECK(error.code == SHIPMATE_ERROR_DISCONNECTED);
  shipmate_loan *loan;
  void *memory;
  MUST(shipmate_sender_loan(sender, 8, &loan, &memory, error));
  shipmate_sender_close(sender, NULL);
  FAILS(SHIPMATE_ERROR_MISUSE, "closed", shipmate_loan_publish(loan, 8, error));
}

static void a_sender_that_talks_nonsense(const char *folder) {
  shipmate_listener *listener;
  shipmate_receiver *receiver;
  const struct shipmate_message *message;
  MUST(shipmate_receiver_listen(at(folder, "nonsense"), NULL, &listener, error));
  struct sockaddr_un name = {.sun_family = AF_UNIX};
  snprintf(name.sun_path, sizeof name.sun_path, "%s/nonsense", folder);
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  CHECK(connect(fd, (struct sockaddr *)&name, sizeof name) == 0);
  MUST(shipmate_receiver_accept(listener, -1, &receiver, error));
  write_all(fd, "GET / HTTP/1.1\r\n\r\n", 18);
  FAILS(SHIPMATE_ERROR_LIMIT, "segments_max", shipmate_receiver_receive(receiver, -1, &message, error));
  shipmate_receiver_close(receiver);
  close(fd);

  fd = socket(AF_UNIX, SOCK_STREAM, 0);
  CHECK(connect(fd, (struct sockaddr *)&name, sizeof name) == 0);
  MUST(shipmate_receiver_accept(listener, -1, &receiver, error));
  write_all(fd, "\0\0\0\0\2\0\0\0half", 12);
  close(fd);
  FAILS(SHIPMATE_ERROR_PROTOCOL, "", shipmate_receiver_receive(receiver, -1, &message, error));
  shipmate_receiver_close(receiver);
  shipmate_listener_close(listener);
}

int main(int count, char **arguments) {
  CHECK(count == 2);
  const char *folder = arguments[1];
  names();
  arguments_of_connecting(folder);
  nothing_at_all();

  shipmate_listener *listener, *other;
  shipmate_receiver *receiver;
  const struct shipmate_message *message;
  struct shipmate_options options = SHIPMATE_OPTIONS_INIT;
  options.mode = 01777;
  FAILS(SHIPMATE_ERROR_MISUSE, "mode", shipmate_receiver_listen(at(folder, "r"), &options, &listener, error));
  MUST(shipmate_receiver_listen(at(folder, "r"), NULL, &listener, error));
  FAILS(SHIPMATE_ERROR_OS, "", shipmate_receiver_listen(at(folder, "no/such/folder"), NULL, &other, error));
  FAILS(SHIPMATE_ERROR_DEADLINE, "10 ms", shipmate_receiver_accept(listener, 10, &receiver, error));
  FAILS(SHIPMATE_ERROR_MISUSE, "NULL", shipmate_receiver_accept(listener, 10, NULL, error));

  shipmate_sender *sender;
  MUST(shipmate_sender_open(at(folder, "r"), NULL, &sender, error));
  MUST(shipmate_receiver_accept(listener, -1, &receiver, error));
  FAILS(SHIPMATE_ERROR_DEADLINE, "0 ms", shipmate_receiver_receive(receiver, 0, &message, error));
  CHECK(message == NULL);
  segments(sender);
  loans(sender);
  CHECK(MUST(shipmate_receiver_receive(receiver, -1, &message, error)) == 1);
  shipmate_receiver_close(receiver);
  a_receiver_that_is_gone(sender);
  CHECK(message->segment_count == 1 && message->segments[0].size == 8);
  shipmate_message_return(message);
  shipmate_listener_close(listener);

  MUST(shipmate_receiver_listen(at(folder, "taken"), NULL, &listener, error));
  FAILS(SHIPMATE_ERROR_ADDRESS_IN_USE, "in use", shipmate_receiver_listen(at(folder, "taken"), NULL, &other, error));
  CHECK(other == NULL);
  shipmate_listener_close(listener);

  a_sender_that_talks_nonsense(folder);
  return 0;
}
