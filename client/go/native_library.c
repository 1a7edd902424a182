//go:build shipmate_native && cgo && linux

// The functions of shipmate.h, as the library that is found when the program runs has them.

#include <dlfcn.h>

// They are of this program's own use: another library that is linked must not find them here.
#pragma GCC visibility push(hidden)
#include "native_library.h"
#include "shipmate.h"

#define LIBRARY(FUNCTION)                                                                              \
  FUNCTION(int, connect, (const char *address, const struct shipmate_options *options,                 \
                          struct shipmate_error *error), (address, options, error))                    \
  FUNCTION(int, sender_open, (const char *address, const struct shipmate_options *options,             \
                              shipmate_sender **sender, struct shipmate_error *error),                 \
           (address, options, sender, error))                                                          \
  FUNCTION(int, sender_send, (shipmate_sender *sender, const struct shipmate_segment *segments,        \
                              size_t count, struct shipmate_error *error),                             \
           (sender, segments, count, error))                                                           \
  FUNCTION(int, sender_loan, (shipmate_sender *sender, size_t bytes, shipmate_loan **loan,             \
                              void **memory, struct shipmate_error *error),                            \
           (sender, bytes, loan, memory, error))                                                       \
  FUNCTION(int, loan_publish, (shipmate_loan *loan, size_t used, struct shipmate_error *error),        \
           (loan, used, error))                                                                        \
  FUNCTION(void, loan_cancel, (shipmate_loan *loan), (loan))                                           \
  FUNCTION(int, sender_close, (shipmate_sender *sender, struct shipmate_error *error), (sender, error)) \
  FUNCTION(int, receiver_listen, (const char *address, const struct shipmate_options *options,         \
                                  shipmate_listener **listener, struct shipmate_error *error),         \
           (address, options, listener, error))                                                        \
  FUNCTION(int, receiver_accept, (shipmate_listener *listener, int timeout_ms,                         \
                                  shipmate_receiver **receiver, struct shipmate_error *error),         \
           (listener, timeout_ms, receiver, error))                                                    \
  FUNCTION(void, listener_close, (shipmate_listener *listener), (listener))                            \
  FUNCTION(int, receiver_receive, (shipmate_receiver *receiver, int timeout_ms,                        \
                                   const struct shipmate_message **message,                            \
                                   struct shipmate_error *error),                                      \
           (receiver, timeout_ms, message, error))                                                     \
  FUNCTION(void, message_return, (const struct shipmate_message *message), (message))                  \
  FUNCTION(void, receiver_close, (shipmate_receiver *receiver), (receiver))                            \
  FUNCTION(int, publisher_open, (const char *address, size_t ring_bytes,                               \
                                 const struct shipmate_options *options,                               \
                                 shipmate_publisher **publisher, struct shipmate_error *error),        \
           (address, ring_bytes, options, publisher, error))                                           \
  FUNCTION(int, publisher_wait, (shipmate_publisher *publisher, size_t subscribers, int timeout_ms,    \
                                 struct shipmate_error *error),                                        \
           (publisher, subscribers, timeout_ms, error))                                                \
  FUNCTION(int, publisher_publish, (shipmate_publisher *publisher,                                     \
                                    const struct shipmate_segment *segments, size_t count,             \
                                    struct shipmate_error *error),                                     \
           (publisher, segments, count, error))                                                        \
  FUNCTION(int, publisher_close, (shipmate_publisher *publisher, struct shipmate_error *error),        \
           (publisher, error))                                                                         \
  FUNCTION(int, subscriber_open, (const char *address, unsigned policy,                                \
                                  const struct shipmate_options *options,                              \
                                  shipmate_subscriber **subscriber, struct shipmate_error *error),     \
           (address, policy, options, subscriber, error))                                              \
  FUNCTION(int, subscriber_receive, (shipmate_subscriber *subscriber, int timeout_ms,                  \
                                     const struct shipmate_message **message,                          \
                                     struct shipmate_error *error),                                    \
           (subscriber, timeout_ms, message, error))                                                   \
  FUNCTION(uint64_t, subscriber_lost, (const shipmate_subscriber *subscriber), (subscriber))           \
  FUNCTION(void, subscriber_close, (shipmate_subscriber *subscriber), (subscriber))

// The compiler holds each against its declaration in shipmate.h.
#define FORWARD(result, name, parameters, arguments)  \
  static __typeof__(&shipmate_##name) found_##name;   \
  result shipmate_##name parameters { return found_##name arguments; }
LIBRARY(FORWARD)

#define FIND(result, name, parameters, arguments)                                     \
  found_##name = (__typeof__(found_##name))dlsym(library, "shipmate_" #name);         \
  if (found_##name == NULL) return "it has no shipmate_" #name;

const char *load_shipmate(const char *path) {
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) return dlerror();
  LIBRARY(FIND)
  return NULL;
}
