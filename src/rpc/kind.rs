//! What a message of the engine is, and which question it is about.

use capnp_rpc::rpc_capnp::message;

use super::layout::near_struct;

/// What the gate needs to know of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Call(u32),
    Bootstrap(u32),
    Finish(u32),
    /// The reply to a question. `finished`: no `Finish` will follow it.
    Return {
        question: u32,
        finished: bool,
    },
    Release,
    Other,
}

impl Kind {
    /// Of a message whose first segment this is. `typed` reads it as the schema says, for messages that are
    /// laid out unusually, which is right but takes a thousand instructions.
    pub(super) fn of<'a>(
        segment: &[u8],
        typed: impl FnOnce() -> capnp::Result<message::Reader<'a>>,
    ) -> capnp::Result<Kind> {
        match Self::at_a_glance(segment) {
            Some(kind) => Ok(kind),
            None => Self::typed(typed()?),
        }
    }

    /// As the schema says.
    fn typed(message: message::Reader<'_>) -> capnp::Result<Kind> {
        Ok(match message.which()? {
            message::Call(call) => Kind::Call(call?.get_question_id()),
            message::Bootstrap(bootstrap) => Kind::Bootstrap(bootstrap?.get_question_id()),
            message::Finish(finish) => Kind::Finish(finish?.get_question_id()),
            message::Return(answer) => {
                let answer = answer?;
                Kind::Return { question: answer.get_answer_id(), finished: answer.get_no_finish_needed() }
            }
            message::Release(_) => Kind::Release,
            _ => Kind::Other,
        })
    }

    /// From the first words: a pointer to the `Message`, its union tag, its pointer to what is in the
    /// union, and the first word of that. Gives nothing unless both are where they can be seen.
    fn at_a_glance(segment: &[u8]) -> Option<Kind> {
        let (words, _) = segment.as_chunks::<8>();
        let message = near_struct(words, 0)?;
        // The ordinals of `Message` in Cap'n Proto's rpc.capnp.
        let kind: fn(u64) -> Kind = match message.data(words, 0)? as u16 {
            2 => |word| Kind::Call(word as u32),
            3 => |word| Kind::Return { question: word as u32, finished: word & 1 << 33 != 0 },
            4 => |word| Kind::Finish(word as u32),
            6 => |_| Kind::Release,
            8 => |word| Kind::Bootstrap(word as u32),
            _ => return Some(Kind::Other),
        };
        Some(kind(near_struct(words, message.pointer(0)?)?.data(words, 0)?))
    }
}

#[cfg(test)]
mod tests {
    use capnp::message::Builder;
    use proptest::prelude::*;

    use super::*;
    use crate::rpc::layout::testing::{changes, is_as_typed};

    fn built(kind: Kind) -> Vec<u8> {
        let mut builder = Builder::new_default();
        let message: message::Builder<'_> = builder.init_root();
        match kind {
            Kind::Call(question) => message.init_call().set_question_id(question),
            Kind::Bootstrap(question) => message.init_bootstrap().set_question_id(question),
            Kind::Finish(question) => message.init_finish().set_question_id(question),
            Kind::Return { question, finished } => {
                let mut answer = message.init_return();
                answer.set_answer_id(question);
                answer.set_no_finish_needed(finished);
            }
            Kind::Release => message.init_release().set_id(7),
            Kind::Other => drop(message.init_disembargo()),
        }
        builder.get_segments_for_output()[0].to_vec()
    }

    fn any_kind() -> impl Strategy<Value = Kind> {
        prop_oneof![
            any::<u32>().prop_map(Kind::Call),
            any::<u32>().prop_map(Kind::Bootstrap),
            any::<u32>().prop_map(Kind::Finish),
            any::<(u32, bool)>().prop_map(|(question, finished)| Kind::Return { question, finished }),
            Just(Kind::Release),
            Just(Kind::Other),
        ]
    }

    proptest! {
        #[test]
        fn the_first_words_say_what_a_message_is(kind in any_kind()) {
            prop_assert_eq!(Kind::at_a_glance(&built(kind)), Some(kind));
        }

        #[test]
        fn a_glance_sees_what_the_schema_says(kind in any_kind(), changes in changes(6)) {
            is_as_typed(built(kind), &changes, Kind::at_a_glance, |message| Kind::typed(message).map(Some));
        }
    }
}
