/*
 * libshipmate: Shipmate for C, and for every language that can call C.
 *
 * Two ways to talk to another process, on every transport that Shipmate has:
 *
 *   shipmate_connect()   gives a connected socket that carries Cap'n Proto RPC, or any bytes, to a
 *                        server. Hand it to the Cap'n Proto library of your language.
 *   shipmate_sender_*    send Cap'n Proto messages one way, one after the other, and
 *   shipmate_receiver_*  receive them, in place; shipmate_publisher_* and shipmate_subscriber_*, from one
 *                        to many.
 *
 * ADDRESSES are "tcp:HOST:PORT", "unix:/path", "unix:@name", "pipe:/path", "shm:/path" and
 * "auto:/path". A wrong one gives an error that shows the right form.
 *
 * ERRORS. A function that can fail returns -1 then and fills in the last argument, unless that is NULL.
 * Programs go by its `code`; the text is for people. errno means nothing after a call.
 *
 * THREADS. Every function may be called from any thread, and on one object from several at once, where
 * they take turns; but nothing may be in progress on an object that is being closed. The library has one
 * thread of its own, which is started when it is first needed and takes no signals. No call raises SIGPIPE.
 *
 * FORK. A child may use the library, and gets a thread of its own then. What was made before the fork
 * belongs to the parent: the child may close its copy of a socket, which does not end the connection, and
 * gets SHIPMATE_ERROR_MISUSE from other objects. Sockets are close-on-exec.
 *
 * EXIT. What was written to a socket before exit() still arrives, if the peer takes it within five
 * seconds; after _exit() or a signal it may not.
 */
#ifndef SHIPMATE_H
#define SHIPMATE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of the library, such as "0.1.0". */
const char *shipmate_version(void);

/* ---------------------------------------------------------------------------------------------- errors */

/* What went wrong. The numbers never change; there may be more of them. */
enum shipmate_error_code {
  SHIPMATE_OK = 0,
  SHIPMATE_ERROR_ADDRESS = 1,        /* the address cannot be understood */
  SHIPMATE_ERROR_UNREACHABLE = 2,    /* nobody answers there */
  SHIPMATE_ERROR_ADDRESS_IN_USE = 3, /* a live server has the address */
  SHIPMATE_ERROR_DISCONNECTED = 4,   /* the peer is gone: it closed, died or was lost */
  SHIPMATE_ERROR_PROTOCOL = 5,       /* the peer sent what the protocol does not allow */
  SHIPMATE_ERROR_LIMIT = 6,          /* something is larger than allowed; the text names the limit */
  SHIPMATE_ERROR_DEADLINE = 7,       /* not within the time allowed */
  SHIPMATE_ERROR_SERVICE = 8,        /* a service answered with an error */
  SHIPMATE_ERROR_MISUSE = 9,         /* an argument that cannot work: a mistake in the program */
  SHIPMATE_ERROR_OS = 10,            /* the system refused; `os_error` says why */
  SHIPMATE_ERROR_INTERNAL = 11       /* a defect of the library */
};

struct shipmate_error {
  int code;          /* one of enum shipmate_error_code */
  int os_error;      /* an errno value for SHIPMATE_ERROR_OS, else 0 */
  char message[504]; /* what went wrong and what to do: one line of UTF-8, cut off if it is too long */
};

/* A code as a word, such as "unreachable"; never NULL. */
const char *shipmate_error_name(int code);

/* --------------------------------------------------------------------------------------------- options */

/*
 * How large parts of messages go over shared memory. What a connection has is the strongest tier that both
 * sides take; other transports copy.
 */
enum shipmate_tier {
  SHIPMATE_TIER_COPY = 0,   /* the receiver copies once, and then looks: safe with a hostile peer */
  SHIPMATE_TIER_SEALED = 1, /* 4 MiB and more are sealed by the kernel against any change, and received in
                               place: as safe, but each such message takes fresh memory from the system */
  SHIPMATE_TIER_TRUSTED = 2 /* 32 KiB and more are received where the sender has built them, and nothing is
                               copied: between processes of one user that trust each other */
};

/* How to connect and listen. Start from SHIPMATE_OPTIONS_INIT; 0 stands for the default. */
struct shipmate_options {
  size_t size;                 /* sizeof(struct shipmate_options): later versions may be longer */
  uint32_t connect_timeout_ms; /* how long connecting may take; default 10,000 */
  uint32_t spin_us;            /* shared memory: how long to look before sleeping; default: sleep at once */
  uint32_t mode;               /* permissions of what listening makes, as in 0660; default 0600 */
  uint32_t tier;               /* shared memory: the strongest of enum shipmate_tier to take; default COPY */
};

#define SHIPMATE_OPTIONS_INIT { sizeof(struct shipmate_options), 0, 0, 0, 0 }

/* ----------------------------------------------------------------------------------------- connections */

/*
 * Connects to a server. Gives a connected stream socket, which is yours: read, write, poll, shut down and
 * close it as any other. Its far end is carried over the transport by the library's thread.
 *
 * - Closing it ends the connection. What was written before still arrives.
 * - shutdown(fd, SHUT_WR) reaches the peer as an end-of-file, and the peer's reaches you.
 * - When the peer is gone, reading gives an end-of-file, and writing fails with EPIPE.
 * - A peer that does not read makes writing wait, and the other way around.
 *
 * `options` may be NULL. Returns the file descriptor, or -1.
 */
int shipmate_connect(const char *address, const struct shipmate_options *options, struct shipmate_error *error);

/* -------------------------------------------------------------------------------------------- messages */

/*
 * A message is one Cap'n Proto message: its segments, without the table in front of them, each a multiple
 * of 8 bytes long and aligned to 8 bytes. Build it with your Cap'n Proto library, or as bytes. It carries
 * no capabilities. On a "pipe:" address messages travel in the named pipe itself.
 */
struct shipmate_segment {
  const void *data;
  size_t size; /* in bytes */
};

struct shipmate_message {
  size_t segment_count;                   /* at least 1 */
  const struct shipmate_segment *segments; /* in memory of the library, until the message is returned */
};

typedef struct shipmate_sender shipmate_sender;
typedef struct shipmate_loan shipmate_loan;
typedef struct shipmate_listener shipmate_listener;
typedef struct shipmate_receiver shipmate_receiver;

/*
 * Connects to a receiver. On a "pipe:" address it waits until there is one and makes the pipe if it is
 * missing; on others somebody must be listening, and over shared memory it waits until that one accepts.
 * Returns 0, or -1.
 */
int shipmate_sender_open(const char *address, const struct shipmate_options *options, shipmate_sender **sender,
                         struct shipmate_error *error);

/*
 * Sends a message from your own memory, which may be used again afterwards. A slow receiver makes it wait.
 * Returns 0, or -1; after SHIPMATE_ERROR_MISUSE and SHIPMATE_ERROR_LIMIT the sender goes on.
 */
int shipmate_sender_send(shipmate_sender *sender, const struct shipmate_segment *segments, size_t segment_count,
                         struct shipmate_error *error);

/*
 * Lends memory to build a message in that has one segment: `bytes` bytes of zeros, rounded up to a
 * multiple of 8, at `*memory`. Over shared memory, 32 KiB and more are memory that the receiver sees, so
 * publishing copies nothing (a receiver that takes less than SHIPMATE_TIER_TRUSTED may), and what the receiver
 * has returned is lent again. A sender may lend several at once. Give each loan to exactly one of the two
 * functions that follow. Returns 0, or -1.
 */
int shipmate_sender_loan(shipmate_sender *sender, size_t bytes, shipmate_loan **loan, void **memory,
                         struct shipmate_error *error);

/*
 * Sends the first `used` bytes of a loan, rounded up to a multiple of 8, and takes the loan back, also
 * when it fails: write there no more. What they say is not checked here, but by who reads them. Returns 0, or -1.
 */
int shipmate_loan_publish(shipmate_loan *loan, size_t used, struct shipmate_error *error);

/* Takes a loan back and sends nothing. NULL is allowed. */
void shipmate_loan_cancel(shipmate_loan *loan);

/*
 * Ends the stream: the receiver gets all that was sent, and then the end. Frees the sender, also when it
 * fails. NULL is allowed. Returns 0, or -1.
 */
int shipmate_sender_close(shipmate_sender *sender, struct shipmate_error *error);

/* Waits for senders at an address. Returns 0, or -1. */
int shipmate_receiver_listen(const char *address, const struct shipmate_options *options,
                             shipmate_listener **listener, struct shipmate_error *error);

/* The address, with the port that the system chose. Valid until the listener is closed. */
const char *shipmate_listener_address(const shipmate_listener *listener);

/*
 * The next sender's messages. On a "pipe:" address this does not wait: the first message does. Waits for
 * `timeout_ms` milliseconds and then fails with SHIPMATE_ERROR_DEADLINE; a negative number waits for
 * ever. Returns 0, or -1.
 */
int shipmate_receiver_accept(shipmate_listener *listener, int timeout_ms, shipmate_receiver **receiver,
                             struct shipmate_error *error);

/* Accepts no more. What was accepted goes on. NULL is allowed. */
void shipmate_listener_close(shipmate_listener *listener);

/*
 * The next message. Over shared memory, a large segment is where the sender has put it, if the tier says so;
 * that memory cannot be written here. `timeout_ms` is as above, and nothing is lost by it. Returns 1 with a
 * message; 0 without one, when the sender has ended the stream; or -1.
 */
int shipmate_receiver_receive(shipmate_receiver *receiver, int timeout_ms, const struct shipmate_message **message,
                              struct shipmate_error *error);

/*
 * Gives a message back, on any thread, also after its receiver was closed or its sender has died. Until
 * then it takes memory of the sender. NULL is allowed.
 */
void shipmate_message_return(const struct shipmate_message *message);

/* Receives no more; the sender gets SHIPMATE_ERROR_DISCONNECTED. NULL is allowed. */
void shipmate_receiver_close(shipmate_receiver *receiver);

/* ------------------------------------------------------------------------------------------ one to many */

typedef struct shipmate_publisher shipmate_publisher;
typedef struct shipmate_subscriber shipmate_subscriber;

/* What becomes of messages that are published faster than a subscriber receives them. */
enum shipmate_policy {
  SHIPMATE_POLICY_BLOCK = 1,      /* the publisher waits for it, and it gets every message */
  SHIPMATE_POLICY_LOSE_OLDEST = 2 /* the publisher does not wait, and it loses the oldest ones */
};

/*
 * Publishes at a "shm:" address: each message is written once, into a ring that all subscribers see. Its
 * size is a power of two from 4096 to 2^30, and a message may have a quarter of it; 0 stands for 4 MiB.
 * Returns 0, or -1.
 */
int shipmate_publisher_open(const char *address, size_t ring_bytes, const struct shipmate_options *options,
                            shipmate_publisher **publisher, struct shipmate_error *error);

/* Waits until there are so many subscribers; `timeout_ms` as above. Returns 0, or -1. */
int shipmate_publisher_wait(shipmate_publisher *publisher, size_t subscribers, int timeout_ms,
                            struct shipmate_error *error);

/*
 * Publishes a message from your own memory, to all who have subscribed. It waits for those that block and
 * have not read enough. After SHIPMATE_ERROR_MISUSE and SHIPMATE_ERROR_LIMIT the publisher goes on. Returns 0,
 * or -1.
 */
int shipmate_publisher_publish(shipmate_publisher *publisher, const struct shipmate_segment *segments,
                               size_t segment_count, struct shipmate_error *error);

/*
 * Ends: subscribers get what was published, and then the end. Frees the publisher, also when it fails. NULL
 * is allowed. Returns 0, or -1.
 */
int shipmate_publisher_close(shipmate_publisher *publisher, struct shipmate_error *error);

/* Subscribes to what is published from now on, with one of enum shipmate_policy. Returns 0, or -1. */
int shipmate_subscriber_open(const char *address, unsigned policy, const struct shipmate_options *options,
                             shipmate_subscriber **subscriber, struct shipmate_error *error);

/*
 * The next message, which is copied once, before it can be looked at. `timeout_ms` and what it returns are as
 * with shipmate_receiver_receive; a publisher that is gone without having closed is
 * SHIPMATE_ERROR_DISCONNECTED, after all that it has published.
 */
int shipmate_subscriber_receive(shipmate_subscriber *subscriber, int timeout_ms,
                                const struct shipmate_message **message, struct shipmate_error *error);

/* How many messages were lost before the one that was received last: an exact count, 0 for who blocks. */
uint64_t shipmate_subscriber_lost(const shipmate_subscriber *subscriber);

/* Receives no more. NULL is allowed. */
void shipmate_subscriber_close(shipmate_subscriber *subscriber);

#ifdef __cplusplus
}
#endif

#endif
