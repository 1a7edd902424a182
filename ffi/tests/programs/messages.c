/* messages send ADDRESS: sends the messages of standard input, in Cap'n Proto's stream framing.
 * messages recv ADDRESS: writes those of the first sender to standard output; says where it listens. */
#include "common.h"

enum { SEGMENTS_MAX = 512 };

static int read_exactly(void *bytes, size_t size) { return fread(bytes, 1, size, stdin) == size; }

/* The next message in memory of its own, which is that of its first segment; 0 segments at the end. */
static size_t read_message(struct shipmate_segment segments[SEGMENTS_MAX]) {
  uint32_t table[SEGMENTS_MAX + 1];
  if (!read_exactly(table, 4)) return 0;
  size_t count = table[0] + 1;
  CHECK(count <= SEGMENTS_MAX && read_exactly(table + 1, 4 * (count + (count + 1) % 2)));
  size_t total = 0;
  for (size_t index = 1; index <= count; index++) total += 8 * (size_t)table[index];
  char *next = malloc(total);
  CHECK(next && read_exactly(next, total));
  for (size_t index = 0; index < count; index++) {
    segments[index] = (struct shipmate_segment){next, 8 * (size_t)table[index + 1]};
    next += segments[index].size;
  }
  return count;
}

static void send_messages(const char *address) {
  shipmate_sender *sender;
  MUST(shipmate_sender_open(address, NULL, &sender, error));
  struct shipmate_segment segments[SEGMENTS_MAX];
  for (size_t count; (count = read_message(segments)) > 0;) {
    if (count == 1) {
      shipmate_loan *loan;
      void *memory;
      MUST(shipmate_sender_loan(sender, segments[0].size + 800, &loan, &memory, error));
      memcpy(memory, segments[0].data, segments[0].size);
      MUST(shipmate_loan_publish(loan, segments[0].size, error));
    } else {
      MUST(shipmate_sender_send(sender, segments, count, error));
    }
    free((void *)segments[0].data);
  }
  MUST(shipmate_sender_close(sender, error));
}

static void write_message(const struct shipmate_message *message) {
  uint32_t table[SEGMENTS_MAX + 2] = {(uint32_t)message->segment_count - 1};
  CHECK(message->segment_count >= 1 && message->segment_count <= SEGMENTS_MAX);
  for (size_t index = 0; index < message->segment_count; index++) {
    const struct shipmate_segment *segment = &message->segments[index];
    CHECK((uintptr_t)segment->data % 8 == 0 && segment->size % 8 == 0);
    table[index + 1] = (uint32_t)(segment->size / 8);
  }
  fwrite(table, 4, (message->segment_count + 2) / 2 * 2, stdout);
  for (size_t index = 0; index < message->segment_count; index++)
    fwrite(message->segments[index].data, 1, message->segments[index].size, stdout);
}

static void receive_messages(const char *address) {
  shipmate_listener *listener;
  shipmate_receiver *receiver;
  MUST(shipmate_receiver_listen(address, NULL, &listener, error));
  fprintf(stderr, "shipmate: listening at %s\n", shipmate_listener_address(listener));
  MUST(shipmate_receiver_accept(listener, -1, &receiver, error));
  shipmate_listener_close(listener);

  /* Every other one is kept for a while: in place, and not overwritten by those that follow. */
  const struct shipmate_message *kept = NULL, *message;
  while (MUST(shipmate_receiver_receive(receiver, -1, &message, error)) == 1) {
    if (kept) {
      write_message(kept);
      write_message(message);
      shipmate_message_return(kept);
      shipmate_message_return(message);
      kept = NULL;
    } else {
      kept = message;
    }
  }
  CHECK(message == NULL);
  shipmate_receiver_close(receiver);
  if (kept) write_message(kept);
  shipmate_message_return(kept);
  CHECK(fflush(stdout) == 0);
}

int main(int count, char **arguments) {
  CHECK(count == 3);
  if (strcmp(arguments[1], "send") == 0)
    send_messages(arguments[2]);
  else
    receive_messages(arguments[2]);
  return 0;
}
