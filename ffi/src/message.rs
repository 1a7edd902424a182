//! Messages: the objects behind the opaque pointers.

use std::ffi::{CString, c_int, c_void};
use std::mem::ManuallyDrop;
use std::ptr::null_mut;
use std::slice;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use capnp::any_pointer;
use capnp::message::{ReaderOptions, ReaderSegments, SegmentArray};
use shipmate::frame::Frame;
use shipmate::message::{self, Listener, Receiver, Sender};
use shipmate::{Address, Error, Limits};
use tokio::time::timeout;

use crate::error::{Failure, Result};
use crate::options::Options;
use crate::runtime::{Runtime, within};

const WORD_BYTES: usize = 8;

/// `struct shipmate_segment`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Segment {
    pub(crate) data: *const c_void,
    pub(crate) size: usize,
}

/// `struct shipmate_message`.
#[repr(C)]
pub struct Message {
    pub(crate) segment_count: usize,
    pub(crate) segments: *const Segment,
}

/// `shipmate_sender`.
pub struct SenderHandle {
    runtime: &'static Runtime,
    /// `None` once it is closed; a loan may outlive that.
    sender: Arc<Mutex<Option<Sender<any_pointer::Owned>>>>,
}

/// `shipmate_loan`.
pub struct Loan {
    runtime: &'static Runtime,
    sender: Arc<Mutex<Option<Sender<any_pointer::Owned>>>>,
    /// `None` once it is published.
    segment: Option<message::Segment>,
}

impl SenderHandle {
    pub(crate) fn open(address: Address, options: &Options) -> Result<Self> {
        let runtime = Runtime::current()?;
        let time = options.connect_timeout();
        let sender = runtime.wait(async {
            let connecting = options.connecting();
            match timeout(time, Sender::connect_with(address.clone(), &connecting, &Limits::DEFAULT)).await {
                Ok(sender) => sender,
                Err(_) => Err(Error::Unreachable { address, reason: format!("no receiver within {time:?}") }),
            }
        })?;
        Ok(SenderHandle { runtime, sender: Arc::new(Mutex::new(Some(sender))) })
    }

    /// Copies the segments once: to where the receiver sees them, if they are large and the transport is
    /// shared memory.
    pub(crate) fn send(&self, segments: &[&[u8]]) -> Result<()> {
        self.runtime.check_process()?;
        check(segments)?;
        let mut sender = lock(&self.sender);
        let sender = sender.as_mut().expect("it is open as long as the caller has it");
        self.runtime.wait(async {
            let segments = segments.iter().map(|given| sender.segment_of(given)).collect();
            sender.send_segments(segments).await
        })?;
        Ok(())
    }

    pub(crate) fn lend(&self, bytes: usize) -> Result<Loan> {
        self.runtime.check_process()?;
        let bytes_max = Limits::DEFAULT.frame_bytes_max;
        if bytes > bytes_max {
            return Err(Error::Limit {
                limit: "frame_bytes_max",
                allowed: bytes_max as u64,
                seen: bytes as u64,
                what: "the loan",
                advice: "send several messages",
            }
            .into());
        }
        let mut sender = lock(&self.sender);
        let lender = sender.as_mut().expect("it is open as long as the caller has it");
        // What is shared is looked after by the runtime.
        let segment = self.runtime.wait(async { lender.segment(bytes) });
        Ok(Loan { runtime: self.runtime, sender: self.sender.clone(), segment: Some(segment) })
    }

    pub(crate) fn close(self) -> Result<()> {
        if let Err(wrong) = self.runtime.check_process() {
            // Dropping the child's copy would end the parent's stream.
            std::mem::forget(self);
            return Err(wrong);
        }
        let sender = lock(&self.sender).take();
        match sender {
            Some(sender) => Ok(self.runtime.wait(sender.finish())?),
            None => Ok(()),
        }
    }
}

impl Loan {
    pub(crate) fn memory(&mut self) -> *mut c_void {
        self.segment.as_mut().map_or(null_mut(), |segment| segment.as_mut().as_mut_ptr().cast())
    }

    /// Sends what was built in the first `used` bytes.
    pub(crate) fn publish(mut self, used: usize) -> Result<()> {
        self.runtime.check_process()?;
        let mut segment = self.segment.take().expect("a loan is published once");
        let bytes = segment.as_ref().len();
        if used > bytes {
            return Err(Failure::misuse(format!("{used} bytes of a loan of {bytes} cannot be used")));
        }
        // One word at least, which is the root.
        segment.truncate(used.max(WORD_BYTES));
        match &mut *lock(&self.sender) {
            Some(sender) => Ok(self.runtime.wait(sender.send_segments(vec![segment]))?),
            None => Err(Failure::misuse("the loan's sender was closed")),
        }
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        if self.runtime.check_process().is_err() {
            // It is the parent's, and in a child the lock of its pool may be held by a thread that is not there.
            std::mem::forget(self.segment.take());
        }
    }
}

/// What a program's own message may be walked: it is trusted to send what it means to.
const ANY_TRAVERSAL: ReaderOptions = ReaderOptions { traversal_limit_in_words: None, nesting_limit: 1 << 10 };

/// Whether a program sends what a receiver can read. Its data are not looked at.
pub(crate) fn check(segments: &[&[u8]]) -> Result<()> {
    let reader = capnp::message::Reader::new(SegmentArray::new(segments), ANY_TRAVERSAL);
    let walked = reader.get_root::<any_pointer::Reader<'_>>().and_then(|root| root.target_size());
    walked.map(drop).map_err(|error| Failure::misuse(format!("not a Cap'n Proto message: {error}")))
}

/// The segments that a caller gives.
///
/// # Safety
/// `segments` is null or points to `count` of them, and each of them is null or points to as much as it says.
pub(crate) unsafe fn segments<'a>(segments: *const Segment, count: usize) -> Result<Vec<&'a [u8]>> {
    if segments.is_null() || count == 0 {
        return Err(Failure::misuse("a message has at least one segment"));
    }
    let count_max = Limits::DEFAULT.segments_max;
    if count > count_max {
        return Err(Failure::misuse(format!("a message of {count} segments: at most {count_max} are allowed")));
    }
    // SAFETY: the caller says so.
    let given = unsafe { slice::from_raw_parts(segments, count) };
    let check = |segment: &Segment| {
        let Segment { data, size } = *segment;
        if size == 0 {
            return Ok(&[][..]);
        }
        if data.is_null() || size % WORD_BYTES != 0 || data.addr() % WORD_BYTES != 0 || size > isize::MAX as usize {
            return Err(Failure::misuse("a segment is not NULL, and is a multiple of 8 bytes, aligned to 8 bytes"));
        }
        // SAFETY: the caller says so.
        Ok(unsafe { slice::from_raw_parts(data.cast(), size) })
    };
    given.iter().map(check).collect()
}

/// `shipmate_listener`.
pub struct ListenerHandle {
    runtime: &'static Runtime,
    listener: Mutex<Listener>,
    address: CString,
}

/// `shipmate_receiver`.
pub struct ReceiverHandle {
    runtime: &'static Runtime,
    receiver: Mutex<Receiver<any_pointer::Owned>>,
}

/// What `shipmate_message` points into; that is its first field, so that a pointer to it is one to this.
#[repr(C)]
pub(crate) struct Received {
    message: Message,
    _segments: Box<[Segment]>,
    runtime: &'static Runtime,
    frame: ManuallyDrop<Frame>,
}

impl ListenerHandle {
    pub(crate) fn listen(address: Address, options: &Options) -> Result<Self> {
        let runtime = Runtime::current()?;
        let listener = runtime.wait(Listener::bind_with(address, &options.listen(), Limits::DEFAULT))?;
        let address = CString::new(listener.address().to_string())
            .map_err(|_| Failure::misuse("an address with a NUL inside"))?;
        Ok(ListenerHandle { runtime, listener: Mutex::new(listener), address })
    }

    pub(crate) fn address(&self) -> &CString {
        &self.address
    }

    pub(crate) fn accept(&self, timeout_ms: c_int) -> Result<ReceiverHandle> {
        self.runtime.check_process()?;
        let mut listener = lock(&self.listener);
        let receiver = self.runtime.wait(within(timeout_ms, listener.accept()))??;
        Ok(ReceiverHandle { runtime: self.runtime, receiver: Mutex::new(receiver) })
    }

    pub(crate) fn close(self) {
        close(self.runtime, self.listener);
    }
}

impl ReceiverHandle {
    pub(crate) fn receive(&self, timeout_ms: c_int) -> Result<Option<Box<Received>>> {
        self.runtime.check_process()?;
        let mut receiver = lock(&self.receiver);
        let message = self.runtime.wait(within(timeout_ms, receiver.recv()))??;
        Ok(message.map(|message| Received::new(self.runtime, message.into_inner().into_segments())))
    }

    pub(crate) fn close(self) {
        close(self.runtime, self.receiver);
    }
}

/// Drops what belongs to the runtime. In a child made by fork it is the parent's: to drop it would remove
/// the parent's names, and wait for a thread that is not there.
pub(crate) fn close<T: Send>(runtime: &Runtime, object: T) {
    match runtime.check_process() {
        Ok(()) => runtime.wait(async { drop(object) }),
        Err(_) => std::mem::forget(object),
    }
}

impl Received {
    pub(crate) fn new(runtime: &'static Runtime, frame: Frame) -> Box<Self> {
        let segments: Box<[Segment]> = (0..frame.len() as u32)
            .filter_map(|id| frame.get_segment(id))
            .map(|segment| Segment { data: segment.as_ptr().cast(), size: segment.len() })
            .collect();
        // Neither the segments nor the list of them move with the box.
        let message = Message { segment_count: segments.len(), segments: segments.as_ptr() };
        Box::new(Received { message, _segments: segments, runtime, frame: ManuallyDrop::new(frame) })
    }

    pub(crate) fn into_message(self: Box<Self>) -> *const Message {
        Box::into_raw(self).cast()
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        // A child made by fork that gave its parent's message back would do so for the parent.
        if self.runtime.check_process().is_ok() {
            // SAFETY: it is dropped here, and nowhere else.
            unsafe { ManuallyDrop::drop(&mut self.frame) };
        }
    }
}

/// A panic while it was held has been reported, and leaves nothing torn.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
