//! What a call or a return says beside its content, at a glance.
//!
//! Calls of exported capabilities, and returns with results, that carry no capabilities, are nearly all there are. Read
//! as the schema says, their heads take a thousand instructions; but they are laid out alike by whoever writes them.
//! Gives nothing for what is anything else, or laid out otherwise: then read it as the schema says.

use super::layout::{near_struct, word_at};

/// A call, by the peer, of a capability that this side exports, without capabilities in its parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CallHead {
    pub(super) question: u32,
    pub(super) interface: u64,
    pub(super) method: u16,
    /// The id of the export.
    pub(super) target: u32,
}

/// A return with results that have no capabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ReturnHead {
    pub(super) question: u32,
    /// The peer lets go of what the parameters have exported.
    pub(super) releases: bool,
    /// It awaits a `Finish`.
    pub(super) needs_finish: bool,
}

// The ordinals and the places of fields are those of Cap'n Proto's rpc.capnp.

impl CallHead {
    pub(super) fn at_a_glance(segment: &[u8]) -> Option<CallHead> {
        let (words, _) = segment.as_chunks::<8>();
        let message = near_struct(words, 0)?;
        let call = near_struct(words, message.pointer(0)?)?;
        let (head, interface) = (call.data(words, 0)?, call.data(words, 1)?);
        let target = near_struct(words, call.pointer(0)?)?.data(words, 0)?;
        let to_the_caller = (head >> 48) as u16 == 0;
        let of_an_export = (target >> 32) as u16 == 0;
        if message.data(words, 0)? as u16 != 2 || !to_the_caller || !of_an_export {
            return None;
        }
        no_capabilities(words, call.pointer(1)?)?;
        Some(CallHead { question: head as u32, interface, method: (head >> 32) as u16, target: target as u32 })
    }
}

impl ReturnHead {
    pub(super) fn at_a_glance(segment: &[u8]) -> Option<ReturnHead> {
        let (words, _) = segment.as_chunks::<8>();
        let message = near_struct(words, 0)?;
        let answer = near_struct(words, message.pointer(0)?)?;
        let head = answer.data(words, 0)?;
        let has_results = (head >> 48) as u16 == 0;
        if message.data(words, 0)? as u16 != 3 || !has_results {
            return None;
        }
        no_capabilities(words, answer.pointer(0)?)?;
        Some(ReturnHead {
            question: head as u32,
            // It is true unless it says otherwise.
            releases: head & 1 << 32 == 0,
            needs_finish: head & 1 << 33 == 0,
        })
    }
}

/// Something, if the payload to which the pointer at a word leads has no table of capabilities.
fn no_capabilities(words: &[[u8; 8]], at: usize) -> Option<()> {
    let payload = near_struct(words, at)?;
    match payload.pointer(1) {
        Some(table) => (word_at(words, table)? == 0).then_some(()),
        None => Some(()),
    }
}

#[cfg(test)]
mod tests {
    use capnp::message::Builder;
    use capnp_rpc::rpc_capnp::{call, message, message_target, return_};
    use proptest::prelude::*;

    use super::*;
    use crate::rpc::layout::testing::{changes, is_as_typed};

    fn built_call(head: CallHead) -> Vec<u8> {
        let mut builder = Builder::new_default();
        let mut call = builder.init_root::<message::Builder<'_>>().init_call();
        call.set_question_id(head.question);
        call.set_interface_id(head.interface);
        call.set_method_id(head.method);
        call.reborrow().init_target().set_imported_cap(head.target);
        call.init_params().init_content().set_as("a parameter").unwrap();
        builder.get_segments_for_output()[0].to_vec()
    }

    fn built_return(head: ReturnHead) -> Vec<u8> {
        let mut builder = Builder::new_default();
        let mut answer = builder.init_root::<message::Builder<'_>>().init_return();
        answer.set_answer_id(head.question);
        answer.set_release_param_caps(head.releases);
        answer.set_no_finish_needed(!head.needs_finish);
        answer.init_results().init_content().set_as("a result").unwrap();
        builder.get_segments_for_output()[0].to_vec()
    }

    fn typed_call(message: message::Reader<'_>) -> capnp::Result<Option<CallHead>> {
        let message::Call(call) = message.which()? else { return Ok(None) };
        let call = call?;
        let call::send_results_to::Caller(()) = call.get_send_results_to().which()? else { return Ok(None) };
        let message_target::ImportedCap(target) = call.get_target()?.which()? else { return Ok(None) };
        let head = CallHead {
            question: call.get_question_id(),
            interface: call.get_interface_id(),
            method: call.get_method_id(),
            target,
        };
        Ok(call.get_params()?.get_cap_table()?.is_empty().then_some(head))
    }

    fn typed_return(message: message::Reader<'_>) -> capnp::Result<Option<ReturnHead>> {
        let message::Return(answer) = message.which()? else { return Ok(None) };
        let answer = answer?;
        let return_::Results(payload) = answer.which()? else { return Ok(None) };
        let head = ReturnHead {
            question: answer.get_answer_id(),
            releases: answer.get_release_param_caps(),
            needs_finish: !answer.get_no_finish_needed(),
        };
        Ok(payload?.get_cap_table()?.is_empty().then_some(head))
    }

    proptest! {
        #[test]
        fn the_head_of_a_call(
            (question, interface, method, target) in any::<(u32, u64, u16, u32)>(),
            changes in changes(14),
        ) {
            let head = CallHead { question, interface, method, target };
            prop_assert_eq!(CallHead::at_a_glance(&built_call(head)), Some(head));
            is_as_typed(built_call(head), &changes, CallHead::at_a_glance, typed_call);
        }

        #[test]
        fn the_head_of_a_return(
            (question, releases, needs_finish) in any::<(u32, bool, bool)>(),
            changes in changes(14),
        ) {
            let head = ReturnHead { question, releases, needs_finish };
            prop_assert_eq!(ReturnHead::at_a_glance(&built_return(head)), Some(head));
            is_as_typed(built_return(head), &changes, ReturnHead::at_a_glance, typed_return);
        }
    }
}
