//! The functions that `include/shipmate.h` declares, in its order. There each is documented.
//!
//! Safety of all of them is what the header asks for: pointers are null or valid, texts end with a NUL,
//! and an object is not used after it was given back.
#![allow(clippy::missing_safety_doc, missing_docs)]

use std::ffi::{c_char, c_int, c_uint, c_void};
use std::os::fd::IntoRawFd;
use std::ptr::null_mut;

use crate::bridge;
use crate::error::{Code, ErrorOut, Failure, Result, guarded};
use crate::message::{self, ListenerHandle, Loan, Message, Received, ReceiverHandle, Segment, SenderHandle};
use crate::options::{Options, address};
use crate::publish::{PublisherHandle, SubscriberHandle};

#[unsafe(no_mangle)]
pub extern "C" fn shipmate_version() -> *const c_char {
    const { concat!(env!("CARGO_PKG_VERSION"), "\0") }.as_ptr().cast()
}

#[unsafe(no_mangle)]
pub extern "C" fn shipmate_error_name(code: c_int) -> *const c_char {
    Code::name_of(code).as_ptr()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn shipmate_connect(
    address_text: *const c_char,
    options: *const Options,
    error: *mut ErrorOut,
) -> c_int {
    // SAFETY: see the top of this file, here and below.
    unsafe {
        guarded(error, || {
            let socket = bridge::connect(address(address_text)?, &Options::read(options)?)?;
            Ok(socket.into_raw_fd())
        })
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn shipmate_sender_open(
    address_text: *const c_char,
    options: *const Options,
    sender: *mut *mut SenderHandle,
    error: *mut ErrorOut,
) -> c_int {
    unsafe {
        guarded(error, || {
            let place = place(sender, "sender")?;
            give(place, SenderHandle::open(address(address_text)?, &Options::read(options)?)?)
        })
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn shipmate_sender_send(
    sender: *mut SenderHandle,
    segments: *const Segment,
    segment_count: usize,
    error: *mut ErrorOut,
) -> c_int {
    unsafe {
        guarded(error, || {
            object(sender, "sender")?.send(&message::segments(segments, segment_count)?)?;
            Ok(0)
        })
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn shipmate_sender_loan(
    sender: *mut SenderHandle,
    bytes: usize,
    loan: *mut *mut Loan,
    memory: *mut *mut c_void,
    error: *mut ErrorOut,
) -> c_int {
    unsafe {
        guarded(error, || {
            let (loan, memory) = (place(loan, "loan")?, place(memory, "memory")?);
            let mut lent = object(sender, "sender")?.lend(bytes)?;
            *memory = lent.memory();
            give(loan, lent)
        })
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn shipmate_loan_publish(loan: *mut Loan, used: usize, error: *mut ErrorOut) -> c_int {
    unsafe {
        guarded(error, || {
            object(loan, "loan")?;
            Box::from_raw(loan).publish(used)?;
            Ok(0)
        })
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn shipmate_loan_cancel(loan: *mut Loan) {
    unsafe { take_back(loan, drop) };
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn shipmate_sender_close(sender: *mut SenderHandle, error: *mut ErrorOut) -> c_int {
    unsafe { finish(sender, error, SenderHandle::close) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn shipmate_receiver_listen(
    address_text: *const c_char,
    options: *const Options,
    listener: *mut *mut ListenerHandle,
    error: *mut ErrorOut,
) -> c_int {
    unsafe {
        guarded(error, || {
            let place = place(listener, "listener")?;
            give(place, ListenerHandle::listen(address(address_text)?, &Options::read(options)?)?)
        })
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn shipmate_listener_address(listener: *const ListenerHandle) -> *const c_char {
    match unsafe { listener.as_ref() } {
        Some(listener) => listener.address().as_ptr(),
        None => c"".as_ptr(),
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn shipmate_receiver_accept(
    listener: *mut ListenerHandle,
    timeout_ms: c_int,
    receiver: *mut *mut ReceiverHandle,
    error: *mut ErrorOut,
) -> c_int {
    unsafe {
        guarded(error, || {
            let place = place(receiver, "receiver")?;
            give(place, object(listener, "listener")?.accept(timeout_ms)?)
        })
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn shipmate_listener_close(listener: *mut ListenerHandle) {
    unsafe { take_back(listener, ListenerHandle::close) };
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn shipmate_receiver_receive(
    receiver: *mut ReceiverHandle,
    timeout_ms: c_int,
    message: *mut *const Message,
    error: *mut ErrorOut,
) -> c_int {
    unsafe { guarded(error, || give_message(message, || object(receiver, "receiver")?.receive(timeout_ms))) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn shipmate_message_return(message: *const Message) {
    unsafe { take_back(message.cast::<Received>().cast_mut(), drop) };
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn shipmate_receiver_close(receiver: *mut ReceiverHandle) {
    unsafe { take_back(receiver, ReceiverHandle::close) };
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn shipmate_publisher_open(
    address_text: *const c_char,
    ring_bytes: usize,
    options: *const Options,
    publisher: *mut *mut PublisherHandle,
    error: *mut ErrorOut,
) -> c_int {
    unsafe {
        guarded(error, || {
            let place = place(publisher, "publisher")?;
            give(place, PublisherHandle::open(address(address_text)?, &Options::read(options)?, ring_bytes)?)
        })
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn shipmate_publisher_wait(
    publisher: *mut PublisherHandle,
    subscribers: usize,
    timeout_ms: c_int,
    error: *mut ErrorOut,
) -> c_int {
    unsafe { guarded(error, || object(publisher, "publisher")?.wait(subscribers, timeout_ms).map(|()| 0)) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn shipmate_publisher_publish(
    publisher: *mut PublisherHandle,
    segments: *const Segment,
    segment_count: usize,
    error: *mut ErrorOut,
) -> c_int {
    unsafe {
        guarded(error, || {
            object(publisher, "publisher")?.publish(&message::segments(segments, segment_count)?)?;
            Ok(0)
        })
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn shipmate_publisher_close(publisher: *mut PublisherHandle, error: *mut ErrorOut) -> c_int {
    unsafe { finish(publisher, error, PublisherHandle::close) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn shipmate_subscriber_open(
    address_text: *const c_char,
    policy: c_uint,
    options: *const Options,
    subscriber: *mut *mut SubscriberHandle,
    error: *mut ErrorOut,
) -> c_int {
    unsafe {
        guarded(error, || {
            let place = place(subscriber, "subscriber")?;
            give(place, SubscriberHandle::open(address(address_text)?, policy, &Options::read(options)?)?)
        })
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn shipmate_subscriber_receive(
    subscriber: *mut SubscriberHandle,
    timeout_ms: c_int,
    message: *mut *const Message,
    error: *mut ErrorOut,
) -> c_int {
    unsafe { guarded(error, || give_message(message, || object(subscriber, "subscriber")?.receive(timeout_ms))) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn shipmate_subscriber_lost(subscriber: *const SubscriberHandle) -> u64 {
    unsafe { subscriber.as_ref() }.map_or(0, SubscriberHandle::lost)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn shipmate_subscriber_close(subscriber: *mut SubscriberHandle) {
    unsafe { take_back(subscriber, SubscriberHandle::close) };
}

/// Where a result goes. It is null until there is one.
unsafe fn place<'a, T>(place: *mut *mut T, what: &str) -> Result<&'a mut *mut T> {
    if place.is_null() {
        return Err(Failure::misuse(format!("the place for the {what} is NULL")));
    }
    unsafe {
        place.write(null_mut());
        Ok(&mut *place)
    }
}

/// Gives the caller an object, until it gives it back.
fn give<T>(place: &mut *mut T, object: T) -> Result<c_int> {
    *place = Box::into_raw(Box::new(object));
    Ok(0)
}

/// Gives the caller the next message: 1 with one, 0 at the end.
unsafe fn give_message(
    message: *mut *const Message,
    receive: impl FnOnce() -> Result<Option<Box<Received>>>,
) -> Result<c_int> {
    let place = unsafe { place(message.cast::<*mut Message>(), "message") }?;
    let Some(received) = receive()? else { return Ok(0) };
    *place = received.into_message().cast_mut();
    Ok(1)
}

unsafe fn object<'a, T>(object: *mut T, what: &str) -> Result<&'a T> {
    unsafe { object.as_ref() }.ok_or_else(|| Failure::misuse(format!("the {what} is NULL")))
}

/// Takes an object back from the caller, in a function that cannot fail.
unsafe fn take_back<T>(object: *mut T, done: impl FnOnce(T)) {
    if !object.is_null() {
        let work = || {
            done(*unsafe { Box::from_raw(object) });
            Ok(0)
        };
        unsafe { guarded(null_mut(), work) };
    }
}

/// Takes an object back from the caller, in a function that may fail.
unsafe fn finish<T>(object: *mut T, error: *mut ErrorOut, done: impl FnOnce(T) -> Result<()>) -> c_int {
    let work = || match object.is_null() {
        true => Ok(0),
        false => done(*unsafe { Box::from_raw(object) }).map(|()| 0),
    };
    unsafe { guarded(error, work) }
}
