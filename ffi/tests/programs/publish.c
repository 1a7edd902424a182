/* publish ADDRESS: a publisher of 1000 messages and two processes that subscribe, one for each policy. */
#include "common.h"

enum { MESSAGES = 1000, WORDS = 128 };

static void subscribe(const char *address, unsigned policy) {
  shipmate_subscriber *subscriber;
  const struct shipmate_message *message;
  MUST(shipmate_subscriber_open(address, policy, NULL, &subscriber, error));
  uint64_t received = 0, next = 0;
  while (MUST(shipmate_subscriber_receive(subscriber, -1, &message, error)) == 1) {
    const struct shipmate_segment *segment = message->segments;
    CHECK(message->segment_count == 1 && segment->size == WORDS * 8);
    uint64_t number = ((const uint64_t *)segment->data)[1];
    for (int index = 2; index < WORDS; index++) CHECK(((const uint64_t *)segment->data)[index] == number);
    CHECK(number >= next && number == received + shipmate_subscriber_lost(subscriber));
    next = number + 1;
    received++;
    shipmate_message_return(message);
    /* Who loses is slow: the ring has room for some fifteen messages. */
    if (policy == SHIPMATE_POLICY_LOSE_OLDEST) poll(NULL, 0, 1);
  }
  CHECK(received + shipmate_subscriber_lost(subscriber) == MESSAGES);
  CHECK((policy == SHIPMATE_POLICY_BLOCK) == (shipmate_subscriber_lost(subscriber) == 0));
  shipmate_subscriber_close(subscriber);
}

static pid_t subscriber_of(const char *address, unsigned policy) {
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    subscribe(address, policy);
    exit(0);
  }
  return child;
}

static void misuse(const char *address) {
  shipmate_publisher *publisher;
  shipmate_subscriber *subscriber;
  FAILS(SHIPMATE_ERROR_MISUSE, "shm:", shipmate_publisher_open("unix:/tmp/x", 0, NULL, &publisher, error));
  FAILS(SHIPMATE_ERROR_MISUSE, "power of two", shipmate_publisher_open(address, 5000, NULL, &publisher, error));
  FAILS(SHIPMATE_ERROR_MISUSE, "policy", shipmate_subscriber_open(address, 0, NULL, &subscriber, error));
  FAILS(SHIPMATE_ERROR_UNREACHABLE, "", shipmate_subscriber_open(address, 1, NULL, &subscriber, error));
  FAILS(SHIPMATE_ERROR_MISUSE, "NULL", shipmate_publisher_wait(NULL, 1, 0, error));
  CHECK(shipmate_publisher_close(NULL, NULL) == 0 && shipmate_subscriber_lost(NULL) == 0);
  shipmate_subscriber_close(NULL);
}

int main(int count, char **arguments) {
  CHECK(count == 2);
  const char *address = arguments[1];
  misuse(address);
  shipmate_publisher *publisher;
  MUST(shipmate_publisher_open(address, 16 << 10, NULL, &publisher, error));
  FAILS(SHIPMATE_ERROR_DEADLINE, "10 ms", shipmate_publisher_wait(publisher, 1, 10, error));
  pid_t children[] = {subscriber_of(address, SHIPMATE_POLICY_BLOCK),
                      subscriber_of(address, SHIPMATE_POLICY_LOSE_OLDEST)};
  MUST(shipmate_publisher_wait(publisher, 2, -1, error));

  uint64_t words[WORDS] = {1 | (uint64_t)2 << 32 | (uint64_t)((WORDS - 1) * 8) << 35};
  struct shipmate_segment segment = {words, sizeof words}, large = {calloc(1, 8192), 8192};
  FAILS(SHIPMATE_ERROR_LIMIT, "ring_bytes", shipmate_publisher_publish(publisher, &large, 1, error));
  FAILS(SHIPMATE_ERROR_MISUSE, "segment", shipmate_publisher_publish(publisher, &segment, 0, error));
  for (uint64_t number = 0; number < MESSAGES; number++) {
    for (int index = 1; index < WORDS; index++) words[index] = number;
    MUST(shipmate_publisher_publish(publisher, &segment, 1, error));
  }
  MUST(shipmate_publisher_close(publisher, error));
  free((void *)large.data);
  for (int index = 0; index < 2; index++) {
    int status;
    CHECK(waitpid(children[index], &status, 0) == children[index] && status == 0);
  }
  return 0;
}
