//! The gate: which of the peer's messages may go on to the engine now.
//!
//! It counts the calls of the peer that are at work, from the call to the reply, and holds further calls
//! back while there are too many, while they hold too much memory, or while too many replies wait to be
//! written (then also whatever else causes a reply). What comes behind a held call is held too, so that order is kept, with two exceptions that
//! keep both sides from waiting for each other for ever:
//!
//! - a `Return` goes past held calls, since calls at work may be waiting for it (a callback);
//! - a `Finish` goes past them, since it cancels a call at work and so makes room,
//!
//! unless a held message mentions the question that it is about, or it mentions a held one's.
//! (`schema/rpc.capnp` of Cap'n Proto requires order only between messages that concern the same object;
//! neither of the two carries calls.) When what is held grows too large nothing more is read at all.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use capnp::message::{Reader, ReaderSegments};
use capnp_rpc::rpc_capnp::{cap_descriptor, message, message_target, payload, return_};

use super::kind::Kind;
use super::message::{Charged, Incoming};
use crate::frame::Frame;
use crate::{Error, Limits, Result};

/// Beyond this much held back, nothing is read.
const HELD_BYTES_MAX: usize = 256 << 10;

pub(super) struct Gate {
    calls_in_flight_max: usize,
    call_bytes_max: usize,
    outgoing_bytes_max: usize,
    answers_open_max: usize,
    /// The peer's questions: from its `Call` or `Bootstrap` to its `Finish`.
    answers: HashMap<u32, Answer, foldhash::fast::RandomState>,
    /// Of those, the ones without a `Return`.
    in_flight: usize,
    charged: Rc<Charged>,
    held: VecDeque<Held>,
    held_bytes: usize,
    draining: bool,
}

#[derive(Default)]
struct Answer {
    returned: bool,
    finished: bool,
}

struct Held {
    message: Reader<Frame>,
    bytes: usize,
    /// The questions that it asks, targets or passes on.
    mentions: Vec<u32>,
}

impl Gate {
    pub(super) fn new(limits: &Limits) -> Self {
        Gate {
            calls_in_flight_max: limits.calls_in_flight_max,
            call_bytes_max: limits.incoming_call_bytes_max,
            outgoing_bytes_max: limits.outgoing_bytes_max,
            answers_open_max: limits.answers_open_max,
            answers: HashMap::default(),
            in_flight: 0,
            charged: Rc::default(),
            held: VecDeque::new(),
            held_bytes: 0,
            draining: false,
        }
    }

    /// Takes a message from the peer; gives it back if it may go on now.
    pub(super) fn offer(&mut self, message: Reader<Frame>, queued_bytes: usize) -> Result<Option<Incoming>> {
        let kind = kind(&message);
        let goes_on = match kind {
            _ if self.held.is_empty() => self.may_pass(&kind, queued_bytes),
            Kind::Return { .. } => !passes_on_answers(&message).unwrap_or(true),
            Kind::Finish(question) => !self.held.iter().any(|held| held.mentions.contains(&question)),
            _ => false,
        };
        if goes_on {
            return self.pass(kind, message).map(Some);
        }
        let bytes = message.get_segments().bytes();
        self.held_bytes += bytes;
        let mentions = mentions(&message).unwrap_or_default();
        self.held.push_back(Held { message, bytes, mentions });
        Ok(None)
    }

    /// A held message that may go on by now.
    pub(super) fn next_held(&mut self, queued_bytes: usize) -> Result<Option<Incoming>> {
        let Some(held) = self.held.front() else { return Ok(None) };
        let kind = kind(&held.message);
        if !self.may_pass(&kind, queued_bytes) {
            return Ok(None);
        }
        let held = self.held.pop_front().expect("seen above");
        self.held_bytes -= held.bytes;
        self.pass(kind, held.message).map(Some)
    }

    /// Whether so much is held that nothing more should be read.
    pub(super) fn is_full(&self) -> bool {
        self.held_bytes >= HELD_BYTES_MAX
    }

    /// Whether anything is held back.
    pub(super) fn holds(&self) -> bool {
        !self.held.is_empty()
    }

    /// Calls of the peer without a reply.
    pub(super) fn calls_in_flight(&self) -> usize {
        self.in_flight
    }

    /// What to be woken by when memory of calls is given back.
    pub(super) fn charged(&self) -> &Charged {
        &self.charged
    }

    /// From now on no call goes on.
    pub(super) fn drain(&mut self) {
        self.draining = true;
    }

    /// Takes note of the reply to a question of the peer; `finished`: no `Finish` will follow it.
    pub(super) fn replied(&mut self, question: u32, finished: bool) {
        let Entry::Occupied(mut entry) = self.answers.entry(question) else { return };
        if entry.get().returned {
            return;
        }
        self.in_flight -= 1;
        if finished || entry.get().finished {
            entry.remove();
        } else {
            entry.get_mut().returned = true;
        }
    }

    /// Whether a message may go on that is the first of those that wait.
    fn may_pass(&self, kind: &Kind, queued_bytes: usize) -> bool {
        let unread = queued_bytes >= self.outgoing_bytes_max;
        match kind {
            Kind::Call(_) => {
                let room = self.in_flight == 0 || self.charged.bytes() < self.call_bytes_max;
                !self.draining && !unread && self.in_flight < self.calls_in_flight_max && room
            }
            // They cause a reply, which a peer that does not read must not pile up.
            Kind::Bootstrap(_) | Kind::Other => !unread,
            Kind::Finish(_) | Kind::Return { .. } | Kind::Release => true,
        }
    }

    fn pass(&mut self, kind: Kind, message: Reader<Frame>) -> Result<Incoming> {
        let mut charge = None;
        match kind {
            Kind::Call(question) | Kind::Bootstrap(question) => {
                charge = Some(self.charged.charge(message.get_segments().bytes()));
                // A question that is in use already is the engine's to refuse.
                if let Entry::Vacant(entry) = self.answers.entry(question) {
                    entry.insert(Answer::default());
                    self.in_flight += 1;
                }
                self.check_answers()?;
            }
            Kind::Finish(question) => {
                if let Entry::Occupied(mut entry) = self.answers.entry(question) {
                    if entry.get().returned {
                        entry.remove();
                    } else {
                        // The engine replies to a call that is cancelled, too.
                        entry.get_mut().finished = true;
                    }
                }
            }
            Kind::Return { .. } | Kind::Release | Kind::Other => {}
        }
        Ok(Incoming { kind, message, charge })
    }

    fn check_answers(&self) -> Result<()> {
        let open = self.answers.len();
        if open <= self.answers_open_max {
            return Ok(());
        }
        Err(Error::Limit {
            limit: "answers_open_max",
            allowed: self.answers_open_max as u64,
            seen: open as u64,
            what: "the peer's unfinished calls on one connection",
            advice: "let go of results that are not needed any more, or connect again",
        })
    }
}

fn kind(message: &Reader<Frame>) -> Kind {
    let first = message.get_segments().get_segment(0).unwrap_or_default();
    // The engine will say what is wrong with it.
    Kind::of(first, || message.get_root()).unwrap_or(Kind::Other)
}

/// Whether a `Return` carries capabilities that are the answers to other questions of the peer.
fn passes_on_answers(message: &Reader<Frame>) -> capnp::Result<bool> {
    let message::Return(answer) = message.get_root::<message::Reader<'_>>()?.which()? else { return Ok(false) };
    let return_::Results(results) = answer?.which()? else { return Ok(false) };
    let mut mentions = Vec::new();
    mentioned_in_payload(results?, &mut mentions)?;
    Ok(!mentions.is_empty())
}

fn mentions(message: &Reader<Frame>) -> capnp::Result<Vec<u32>> {
    let mut mentions = Vec::new();
    match message.get_root::<message::Reader<'_>>()?.which()? {
        message::Call(call) => {
            let call = call?;
            mentions.push(call.get_question_id());
            mentioned_in_target(call.get_target()?, &mut mentions)?;
            mentioned_in_payload(call.get_params()?, &mut mentions)?;
        }
        message::Bootstrap(bootstrap) => mentions.push(bootstrap?.get_question_id()),
        message::Finish(finish) => mentions.push(finish?.get_question_id()),
        message::Disembargo(disembargo) => mentioned_in_target(disembargo?.get_target()?, &mut mentions)?,
        message::Resolve(resolve) => {
            if let capnp_rpc::rpc_capnp::resolve::Cap(cap) = resolve?.which()? {
                mentioned_in_descriptor(cap?, &mut mentions)?;
            }
        }
        message::Return(answer) => {
            if let return_::Results(results) = answer?.which()? {
                mentioned_in_payload(results?, &mut mentions)?;
            }
        }
        _ => {}
    }
    Ok(mentions)
}

fn mentioned_in_target(target: message_target::Reader<'_>, mentions: &mut Vec<u32>) -> capnp::Result<()> {
    if let message_target::PromisedAnswer(answer) = target.which()? {
        mentions.push(answer?.get_question_id());
    }
    Ok(())
}

fn mentioned_in_payload(payload: payload::Reader<'_>, mentions: &mut Vec<u32>) -> capnp::Result<()> {
    payload.get_cap_table()?.iter().try_for_each(|descriptor| mentioned_in_descriptor(descriptor, mentions))
}

fn mentioned_in_descriptor(descriptor: cap_descriptor::Reader<'_>, mentions: &mut Vec<u32>) -> capnp::Result<()> {
    if let cap_descriptor::ReceiverAnswer(answer) = descriptor.which()? {
        mentions.push(answer?.get_question_id());
    }
    Ok(())
}
