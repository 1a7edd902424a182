//! The wire: one connection's two halves, and when to write and to read.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use capnp::message::{Builder, HeapAllocator};
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep};

use super::gate::Gate;
use super::message::{Incoming, Message, Outgoing};
use super::skeleton;
use crate::frame::{FrameReader, FrameWriter};
use crate::transport::{ReadHalf, WriteHalf};
use crate::{Error, Limits, Result};

/// Replies to messages that were read together are written together, up to this many bytes.
const CORKED_BYTES_MAX: usize = 64 << 10;
/// And up to this part of the messages that were read, within these bounds: the peer handles the first
/// replies while the next are made. If all went out at once, the two sides would work by turns.
const CORKED_PART: usize = 3;
const CORKED_MESSAGES_MIN: usize = 4;
const CORKED_MESSAGES_MAX: usize = 24;

/// The size of a message's first segment follows the messages sent before, within these bounds.
const FIRST_SEGMENT_WORDS_MIN: u32 = 32;
const FIRST_SEGMENT_WORDS_MAX: u32 = 256;

pub(crate) struct Wire {
    state: RefCell<State>,
    /// Something left the queue, a call got its reply, or the connection ended.
    changed: Notify,
    /// The connection ended, or the engine was done with it: apart from `changed`, which many a message
    /// notifies, so that who waits for the end alone sleeps.
    over: Notify,
}

struct State {
    limits: Limits,
    reader: FrameReader,
    writer: FrameWriter<Message>,
    gate: Gate,
    /// Messages that were read are being handled, so what is sent waits to be written.
    corked: bool,
    /// While corked, this many queued messages are written nonetheless.
    cork_messages: usize,
    /// The peer takes nothing more.
    mute: bool,
    /// Why the connection must end; the engine learns it as the result of its next receive.
    failure: Option<Error>,
    /// Why the connection ended or is about to: the first reason that was known.
    cause: Option<Error>,
    closing: Closing,
    /// Nothing of the connection is left.
    finished: bool,
    driver: Option<Waker>,
    /// Of the engine, which waits to receive.
    receiver: Option<Waker>,
    /// It was woken, and has not come since.
    woken: bool,
    received_at: Instant,
    recent_words: u32,
}

enum Closing {
    No,
    /// The rest of the queue may still be written, until this is over, which begins when it is first polled: the
    /// runtime may be gone.
    Flushing(Option<Pin<Box<Sleep>>>),
    Done,
}

impl Wire {
    pub(crate) fn new(reader: ReadHalf, writer: WriteHalf, limits: &Limits) -> Self {
        let state = State {
            limits: limits.clone(),
            reader: FrameReader::new(reader, limits),
            writer: FrameWriter::new(writer),
            gate: Gate::new(limits),
            corked: false,
            cork_messages: CORKED_MESSAGES_MIN,
            mute: false,
            failure: None,
            cause: None,
            closing: Closing::No,
            finished: false,
            driver: None,
            receiver: None,
            woken: false,
            received_at: Instant::now(),
            recent_words: FIRST_SEGMENT_WORDS_MIN,
        };
        Wire { state: RefCell::new(state), changed: Notify::new(), over: Notify::new() }
    }

    /// A new message, for parameters or results. Its first segment is as large as messages have been lately, and
    /// lies in the transport's own memory where it has some.
    pub(super) fn new_message(&self) -> Outgoing {
        let state = self.state.borrow();
        match state.writer.arena(state.recent_words) {
            Some(arena) => Outgoing::Shared(Box::new(Builder::new(arena))),
            None => Outgoing::of_words(state.recent_words),
        }
    }

    /// Queues a message of the engine that is no reply.
    pub(super) fn send(&self, message: Outgoing) {
        self.queue(Message::Sent(message));
    }

    /// Queues the reply to a question of the peer; `finished`: no `Finish` will follow it.
    pub(super) fn reply(&self, question: u32, finished: bool, message: Outgoing) {
        self.replied(question, finished);
        self.queue(Message::Sent(message));
    }

    /// The same for a reply that is needed further: what the engine may read of it comes back.
    pub(super) fn reply_and_keep(
        &self,
        question: u32,
        finished: bool,
        message: Outgoing,
    ) -> Rc<Builder<HeapAllocator>> {
        self.replied(question, finished);
        match message {
            Outgoing::Heap(message) => {
                let kept = Rc::new(message);
                self.queue(Message::Kept(kept.clone()));
                kept
            }
            Outgoing::Shared(message) => {
                let kept = Rc::new(skeleton::of_results(&message));
                self.queue(Message::Sent(Outgoing::Shared(message)));
                kept
            }
        }
    }

    fn replied(&self, question: u32, finished: bool) {
        let mut state = self.state.borrow_mut();
        state.gate.replied(question, finished);
        if state.gate.holds() {
            state.wake_receiver();
        }
        drop(state);
        self.changed.notify_waiters();
    }

    fn queue(&self, message: Message) {
        let mut state = self.state.borrow_mut();
        if state.mute {
            return;
        }
        let bytes = state.writer.push(message);
        state.learn_size(bytes);
        let queued = state.writer.held_bytes();
        if queued > state.limits.queue_bytes_max {
            let allowed = state.limits.queue_bytes_max;
            state.fail(queue_limit(allowed, queued));
        }
        // While messages are handled, the engine comes by itself. One that stays awake writes, and looks for the answer, in
        // one go.
        let engine_comes = state.corked || state.reader.stays_awake() && state.wake_receiver();
        if !engine_comes {
            wake(&mut state.driver);
        }
    }

    /// Writes what is due while messages are being handled.
    pub(super) fn flush_due(&self, cx: &mut Context<'_>) {
        let mut state = self.state.borrow_mut();
        if !state.may_flush() {
            return;
        }
        let before = state.writer.queued_bytes();
        if state.poll_flush(cx).is_pending() {
            wake(&mut state.driver);
        }
        if state.writer.queued_bytes() < before {
            self.changed.notify_waiters();
        }
    }

    /// The next message for the engine; `None` when the peer has ended the stream.
    pub(super) fn poll_receive(&self, cx: &mut Context<'_>) -> Poll<capnp::Result<Option<Incoming>>> {
        let mut state = self.state.borrow_mut();
        let before = state.writer.queued_bytes();
        let received = state.poll_receive(cx);
        // It also writes, whether or not there is something to receive.
        if state.writer.queued_bytes() < before {
            self.changed.notify_waiters();
        }
        drop(state);
        let received = ready!(received);
        if let Err(error) = &received {
            self.ended(error.clone());
        }
        // Whatever is wrong with a connection, calls in flight are told that it is gone.
        Poll::Ready(received.map_err(|error| match error {
            Error::Disconnected { reason } => capnp::Error::disconnected(reason),
            other => capnp::Error::disconnected(other.to_string()),
        }))
    }

    /// Whether who waits to receive looks for what comes, and does not sleep.
    pub(super) fn stays_awake(&self) -> bool {
        self.state.borrow().reader.stays_awake()
    }

    /// Notes that a message was handled by who is not the engine, which comes if there is more to do.
    pub(super) fn handled(&self) {
        let mut state = self.state.borrow_mut();
        state.corked = false;
        if state.writer.queued_messages() > 0 || state.reader.is_ready() {
            state.wake_receiver();
        }
    }

    /// Writes what is queued, until the engine has shut the connection down.
    pub(crate) fn poll_drive(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.borrow_mut();
        state.driver = Some(cx.waker().clone());
        let before = state.writer.queued_bytes();
        if state.may_flush() {
            let _ = state.poll_flush(cx);
        }
        if state.writer.queued_bytes() < before {
            self.changed.notify_waiters();
            // The gate may be open again.
            if state.gate.holds() {
                state.wake_receiver();
            }
        }
        state.poll_close(cx);
        match state.closing {
            Closing::Done => Poll::Ready(()),
            _ => Poll::Pending,
        }
    }

    /// The engine has no more to say, for this reason.
    pub(super) fn shutdown(&self, error: capnp::Error) {
        let mut state = self.state.borrow_mut();
        state.cause.get_or_insert(error.into());
        state.corked = false;
        state.receiver = None;
        state.closing = Closing::Flushing(None);
        wake(&mut state.driver);
        self.changed.notify_waiters();
        self.over.notify_waiters();
    }

    /// Ends the connection: calls in flight fail with this reason.
    pub(crate) fn fail(&self, error: Error) {
        self.state.borrow_mut().fail(error);
    }

    /// Notes that and why the connection is over.
    pub(crate) fn ended(&self, error: Error) {
        self.state.borrow_mut().cause.get_or_insert(error);
        self.changed.notify_waiters();
        self.over.notify_waiters();
    }

    /// Notes that nothing of the connection is left.
    pub(crate) fn finished(&self) {
        self.state.borrow_mut().finished = true;
        self.over.notify_waiters();
    }

    /// Whether nothing of the connection is left.
    pub(crate) fn is_finished(&self) -> bool {
        self.state.borrow().finished
    }

    /// Why the connection is over, once it is.
    pub(crate) fn cause(&self) -> Option<Error> {
        self.state.borrow().cause.clone()
    }

    /// Whether the queue has room.
    pub(crate) fn is_ready(&self) -> bool {
        let state = self.state.borrow();
        state.writer.held_bytes() < state.limits.outgoing_bytes_max
    }

    /// Whether no call of the peer is at work and every reply is written.
    pub(crate) fn is_idle(&self) -> bool {
        let state = self.state.borrow();
        state.gate.calls_in_flight() == 0 && state.writer.queued_messages() == 0
    }

    /// Takes up no further call of the peer.
    pub(crate) fn drain(&self) {
        self.state.borrow_mut().gate.drain();
    }

    /// When the peer was last heard.
    pub(crate) fn received_at(&self) -> Instant {
        self.state.borrow().received_at
    }

    /// Waits until something holds that messages change.
    pub(crate) async fn until(&self, condition: impl Fn(&Wire) -> bool) {
        self.wait(&self.changed, condition).await;
    }

    /// Waits until something holds that only the end of the connection changes.
    pub(crate) async fn until_over(&self, condition: impl Fn(&Wire) -> bool) {
        self.wait(&self.over, condition).await;
    }

    async fn wait(&self, change: &Notify, condition: impl Fn(&Wire) -> bool) {
        loop {
            let changed = change.notified();
            if condition(self) {
                return;
            }
            changed.await;
        }
    }

    pub(super) fn stream_window_bytes(&self) -> usize {
        self.state.borrow().limits.stream_window_bytes
    }
}

impl State {
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Incoming>>> {
        self.woken = false;
        loop {
            if let Some(message) = self.take_message()? {
                return Poll::Ready(Ok(Some(message)));
            }
            // Nothing is left to handle: now the replies go out, and then the peer may speak again.
            let queued = self.writer.queued_bytes();
            if self.poll_flush(cx).is_pending() {
                wake(&mut self.driver);
            }
            if self.writer.queued_bytes() < queued && self.gate.holds() {
                // The gate may be open again, and the peer may have nothing more to say.
                continue;
            }
            keep_waker(&mut self.receiver, cx);
            self.gate.charged().wake_when_less(cx.waker());
            if self.gate.is_full() {
                return Poll::Pending;
            }
            let more = ready!(self.reader.poll_read(cx))?;
            self.received_at = Instant::now();
            let part = self.reader.ready_frames() / CORKED_PART;
            self.cork_messages = part.clamp(CORKED_MESSAGES_MIN, CORKED_MESSAGES_MAX);
            if !more && !self.reader.is_ready() {
                self.cause.get_or_insert(Error::disconnected("the peer closed it"));
                return Poll::Ready(Ok(None));
            }
        }
    }

    /// Hands on a message that was read already, and corks until the engine comes for the next and there is
    /// none: by then it has handled this one, and its reply goes out with the others.
    fn take_message(&mut self) -> Result<Option<Incoming>> {
        if let Some(error) = &self.failure {
            return Err(error.clone());
        }
        let message = self.next_message()?;
        self.corked = message.is_some();
        Ok(message)
    }

    /// A message that was read and may go on to the engine.
    fn next_message(&mut self) -> Result<Option<Incoming>> {
        let queued = self.writer.held_bytes();
        if let Some(message) = self.gate.next_held(queued)? {
            return Ok(Some(message));
        }
        while !self.gate.is_full()
            && let Some(frame) = self.reader.next_ready()
        {
            let message = frame?.into_reader(&self.limits);
            if let Some(message) = self.gate.offer(message, queued)? {
                return Ok(Some(message));
            }
        }
        Ok(None)
    }

    fn may_flush(&self) -> bool {
        !self.corked
            || self.writer.queued_bytes() >= CORKED_BYTES_MAX
            || self.writer.queued_messages() >= self.cork_messages
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.mute || self.writer.queued_messages() == 0 {
            return Poll::Ready(());
        }
        if let Err(error) = ready!(self.writer.poll_flush(cx)) {
            self.mute = true;
            self.writer.clear();
            self.fail(Error::stream("write to the peer", error));
        }
        Poll::Ready(())
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) {
        let Closing::Flushing(linger) = &mut self.closing else { return };
        let linger = linger.get_or_insert_with(|| Box::pin(sleep(self.limits.handshake_timeout)));
        let overdue = linger.as_mut().poll(cx).is_ready();
        let pending = !self.mute && (self.writer.queued_messages() > 0 || self.writer.poll_shutdown(cx).is_pending());
        if pending && !overdue {
            return;
        }
        self.mute = true;
        self.writer.clear();
        self.closing = Closing::Done;
    }

    fn fail(&mut self, error: Error) {
        self.failure.get_or_insert(error);
        self.wake_receiver();
    }

    /// Wakes the engine, if it waits to receive, and says whether it does.
    fn wake_receiver(&mut self) -> bool {
        if let Some(receiver) = &self.receiver
            && !self.woken
        {
            self.woken = true;
            receiver.wake_by_ref();
        }
        self.receiver.is_some()
    }

    /// Follows the size of messages: at once when they grow, slowly when they shrink.
    fn learn_size(&mut self, bytes: usize) {
        let words = (bytes / 8).min(FIRST_SEGMENT_WORDS_MAX as usize) as u32 + 8;
        let recent = self.recent_words;
        let next = if words >= recent { words } else { recent - (recent - words) / 16 };
        self.recent_words = next.clamp(FIRST_SEGMENT_WORDS_MIN, FIRST_SEGMENT_WORDS_MAX);
    }
}

fn queue_limit(allowed: usize, seen: usize) -> Error {
    Error::Limit {
        limit: "queue_bytes_max",
        allowed: allowed as u64,
        seen: seen as u64,
        what: "messages that wait to be written to a peer that does not read them",
        advice: "await Connection::ready before sending more, and see that the peer reads",
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

/// Keeps the waker of who is polled.
pub(super) fn keep_waker(kept: &mut Option<Waker>, cx: &Context<'_>) {
    match kept {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *kept = Some(cx.waker().clone()),
    }
}
