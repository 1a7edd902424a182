//! What the engine keeps of a reply that was sent: only as much as it reads.
//!
//! The engine keeps a reply that has capabilities until the peer says `Finish`, and reads of it the way from the results
//! along pointers to those capabilities, when the peer calls what it does not know yet by way of the question. So a
//! message that lies in shared memory need not stay for that, nor be copied: a skeleton of it has those pointers and
//! none of the data.

use capnp::any_pointer;
use capnp::message::{Allocator, Builder, HeapAllocator};
use capnp::private::layout::{PointerBuilder, StructBuilder, StructSize};
use capnp::traits::{FromPointerBuilder, ImbueMut};
use capnp_rpc::rpc_capnp::message;

use super::layout::{Place, Struct, Target, struct_at, target};

/// No message that is received may nest deeper.
const NESTING_MAX: usize = 64;

/// What the engine may read of a reply after it was sent.
pub(super) fn of_results<A: Allocator>(reply: &Builder<A>) -> Builder<HeapAllocator> {
    let segments = reply.get_segments_for_output();
    // Message, Return, Payload, content: each the first pointer of the one before.
    let mut place = Place::ROOT;
    for _ in 0..3 {
        match struct_at(&segments, place).and_then(|found| found.first_pointer()) {
            Some(first) => place = first,
            None => return results(|_| {}),
        }
    }
    results(|content| copy(&segments, place, content, NESTING_MAX))
}

fn results(fill: impl FnOnce(any_pointer::Builder<'_>)) -> Builder<HeapAllocator> {
    let mut skeleton = Builder::new(HeapAllocator::new().first_segment_words(32));
    fill(skeleton.init_root::<message::Builder<'_>>().init_return().init_results().get_content());
    skeleton
}

/// Copies structs and capabilities that lie along pointers from here.
fn copy(segments: &[&[u8]], from: Place, mut to: any_pointer::Builder<'_>, nesting: usize) {
    match target(segments, from) {
        Some(Target::Capability(index)) => {
            // The index that is written is the next one of the table.
            let mut table = Vec::new();
            table.resize_with(index as usize, || None);
            let nobody = capnp_rpc::new_broken_cap(capnp::Error::failed("a place in a table".into()));
            let mut to = to.reborrow();
            to.imbue_mut(&mut table);
            to.set_as_capability(nobody.hook);
        }
        Some(Target::Struct(Struct { pointers, count })) if nesting > 0 => {
            let mut struct_ = to.initn_as::<Untyped<'_>>(count as u32).0;
            for index in 0..count {
                let field = any_pointer::Builder::new(struct_.reborrow().get_pointer_field(index));
                copy(segments, pointers.after(index), field, nesting - 1);
            }
        }
        _ => {}
    }
}

/// A struct of pointers alone.
struct Untyped<'a>(StructBuilder<'a>);

impl<'a> FromPointerBuilder<'a> for Untyped<'a> {
    fn init_pointer(builder: PointerBuilder<'a>, pointers: u32) -> Self {
        Untyped(builder.init_struct(StructSize { data: 0, pointers: pointers as u16 }))
    }

    fn get_from_pointer(builder: PointerBuilder<'a>, default: Option<&'a [capnp::Word]>) -> capnp::Result<Self> {
        Ok(Untyped(builder.get_struct(StructSize { data: 0, pointers: 0 }, default)?))
    }
}

#[cfg(test)]
mod tests {
    use capnp::capability::FromClientHook;
    use capnp::message::AllocationStrategy;
    use capnp::private::capability::ClientHook;
    use capnp::traits::Imbue;
    use capnp_rpc::rpc_capnp::return_;

    use super::*;
    use crate::schema::mailbox_capnp::mailbox;
    use crate::schema::shipmate_capnp::shipmate as front;

    type Table = Vec<Option<Box<dyn ClientHook>>>;

    fn hook() -> Box<dyn ClientHook> {
        capnp_rpc::new_broken_cap(capnp::Error::failed("here".into())).hook
    }

    /// A reply whose content is filled by this; `first_words` is small where pointers are to be far.
    fn reply(first_words: u32, fill: impl FnOnce(any_pointer::Builder<'_>)) -> (Builder<HeapAllocator>, Table) {
        let allocator = HeapAllocator::new().first_segment_words(first_words);
        let mut builder = Builder::new(allocator.allocation_strategy(AllocationStrategy::FixedSize));
        let mut table = Table::new();
        let root: message::Builder<'_> = builder.init_root();
        let mut content = root.init_return().init_results().get_content();
        content.imbue_mut(&mut table);
        fill(content);
        (builder, table)
    }

    fn content<'a>(skeleton: &'a Builder<HeapAllocator>, table: &'a Table) -> any_pointer::Reader<'a> {
        let root: message::Reader<'_> = skeleton.get_root_as_reader().unwrap();
        let message::Return(answer) = root.which().unwrap() else { panic!("no reply") };
        let return_::Results(payload) = answer.unwrap().which().unwrap() else { panic!("no results") };
        let mut content = payload.unwrap().get_content();
        content.imbue(table);
        content
    }

    #[test]
    fn capabilities_are_found_where_they_were() {
        use capnp::private::capability::PipelineOp::GetPointerField;
        for first_words in [1, 2, 5, 9, 64] {
            let (sent, table) = reply(first_words, |content| {
                let results: front::get_results::Builder<'_> = content.init_as();
                let mut capability = results.init_service();
                capability.set_as_capability(hook());
            });
            let skeleton = of_results(&sent);
            let found = content(&skeleton, &table).get_pipelined_cap(&[GetPointerField(0)]).unwrap();
            assert_eq!(found.get_ptr(), table[0].as_ref().unwrap().get_ptr(), "{first_words}");
        }
    }

    /// The table of a reply is in the order in which capabilities were set, which need not be that of its
    /// pointers.
    #[test]
    fn capabilities_keep_their_indices() {
        let (sent, table) = reply(3, |content| {
            let mut fields = content.initn_as::<Untyped<'_>>(4).0;
            for index in [3, 1] {
                any_pointer::Builder::new(fields.reborrow().get_pointer_field(index)).set_as_capability(hook());
            }
            let inner = any_pointer::Builder::new(fields.reborrow().get_pointer_field(0));
            let mut inner = inner.initn_as::<Untyped<'_>>(2).0;
            any_pointer::Builder::new(inner.reborrow().get_pointer_field(1)).set_as_capability(hook());
            let data = any_pointer::Builder::new(fields.reborrow().get_pointer_field(2));
            data.initn_as::<capnp::data::Builder<'_>>(1 << 20).fill(7);
        });
        use capnp::private::capability::PipelineOp::GetPointerField;
        let skeleton = of_results(&sent);
        for (path, index) in [(vec![3], 0), (vec![1], 1), (vec![0, 1], 2)] {
            let path: Vec<_> = path.into_iter().map(GetPointerField).collect();
            let found = content(&skeleton, &table).get_pipelined_cap(&path).unwrap();
            assert_eq!(found.get_ptr(), table[index].as_ref().unwrap().get_ptr());
        }
        assert!(skeleton.size_in_words() < 64, "the data was copied");
    }

    /// The pointers that the services of this repository answer with are found by their generated code.
    #[test]
    fn generated_code_reads_a_skeleton() {
        let (sent, table) = reply(1, |content| {
            let mut results: mailbox::open_results::Builder<'_> = content.init_as();
            results.set_box(capnp_rpc::new_broken_cap(capnp::Error::failed("here".into())).cast_to());
        });
        let skeleton = of_results(&sent);
        let results: mailbox::open_results::Reader<'_> = content(&skeleton, &table).get_as().unwrap();
        assert_eq!(results.get_box().unwrap().into_client_hook().get_ptr(), table[0].as_ref().unwrap().get_ptr());
    }
}
