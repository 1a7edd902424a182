/* in_place send ADDRESS TIER BYTES:  for each line of standard input, lends, says where, fills and publishes.
 * in_place recv ADDRESS TIER:        receives; says of each message where it is, and returns it at the next line of
 *                                    standard input. At the end it checks the last message once more. */
#include "common.h"

static enum shipmate_tier tier_named(const char *name) {
  const char *names[] = {"copy", "sealed", "trusted"};
  for (int tier = 0; tier < 3; tier++)
    if (strcmp(name, names[tier]) == 0) return (enum shipmate_tier)tier;
  CHECK(!"a tier");
  return SHIPMATE_TIER_COPY;
}

/* In what kind of mapping all of these bytes lie: "memfd rw-s", for example, or "private". */
static const char *place_of(const void *data, size_t size) {
  static char place[64];
  FILE *maps = fopen("/proc/self/maps", "r");
  CHECK(maps);
  char line[512];
  strcpy(place, "nowhere");
  while (fgets(line, sizeof line, maps)) {
    unsigned long start, end;
    char rights[8];
    CHECK(sscanf(line, "%lx-%lx %7s", &start, &end, rights) == 3);
    if ((uintptr_t)data < start || (uintptr_t)data >= end) continue;
    if (strstr(line, "/memfd:") && (uintptr_t)data + size <= end)
      snprintf(place, sizeof place, "memfd %s", rights);
    else
      strcpy(place, "private");
  }
  fclose(maps);
  return place;
}

static int next_line(void) {
  char line[64];
  return fgets(line, sizeof line, stdin) != NULL;
}

/* A list of words behind the root pointer: as a message it is (list = Data of `size` - 8 bytes). */
static void fill(uint64_t *words, size_t size, uint64_t number) {
  words[0] = 1 | (uint64_t)(size - 8) << 35 | (uint64_t)2 << 32;
  for (size_t index = 1; index < size / 8; index++) words[index] = number + index;
}

static void check_filled(const struct shipmate_segment *segment, uint64_t number) {
  const uint64_t *words = segment->data;
  for (size_t index = 1; index < segment->size / 8; index++) CHECK(words[index] == number + index);
}

static void send_messages(const char *address, const struct shipmate_options *options, size_t size) {
  shipmate_sender *sender;
  MUST(shipmate_sender_open(address, options, &sender, error));
  printf("connected\n");
  fflush(stdout);
  for (uint64_t number = 0; next_line(); number++) {
    shipmate_loan *loan;
    void *memory;
    MUST(shipmate_sender_loan(sender, size, &loan, &memory, error));
    for (size_t index = 0; index < size / 8; index++) CHECK(((uint64_t *)memory)[index] == 0);
    printf("%s %p\n", place_of(memory, size), memory);
    fflush(stdout);
    fill(memory, size, number);
    struct shipmate_error error;
    if (shipmate_loan_publish(loan, size, &error) < 0) {
      printf("%s\n", shipmate_error_name(error.code));
      shipmate_sender_close(sender, NULL);
      return;
    }
  }
  MUST(shipmate_sender_close(sender, error));
}

static void receive_messages(const char *address, const struct shipmate_options *options) {
  shipmate_listener *listener;
  shipmate_receiver *receiver;
  MUST(shipmate_receiver_listen(address, options, &listener, error));
  printf("listening\n");
  fflush(stdout);
  MUST(shipmate_receiver_accept(listener, -1, &receiver, error));
  const struct shipmate_message *message = NULL, *next;
  uint64_t number = 0;
  for (; MUST(shipmate_receiver_receive(receiver, -1, &next, error)) == 1; number++) {
    shipmate_message_return(message);
    message = next;
    CHECK(message->segment_count == 1);
    const struct shipmate_segment *segment = message->segments;
    check_filled(segment, number);
    printf("%s %p\n", place_of(segment->data, segment->size), segment->data);
    fflush(stdout);
    if (next_line()) {
      shipmate_message_return(message);
      message = NULL;
      printf("returned\n");
      fflush(stdout);
    }
  }
  shipmate_receiver_close(receiver);
  shipmate_listener_close(listener);
  /* Whatever became of the sender, what is held is whole. */
  if (message) check_filled(message->segments, number - 1);
  shipmate_message_return(message);
  printf("end after %d\n", (int)number);
}

int main(int count, char **arguments) {
  CHECK(count >= 4);
  struct shipmate_options options = SHIPMATE_OPTIONS_INIT;
  options.tier = tier_named(arguments[3]);
  if (strcmp(arguments[1], "send") == 0)
    send_messages(arguments[2], &options, (size_t)atol(arguments[4]));
  else
    receive_messages(arguments[2], &options);
  return 0;
}
