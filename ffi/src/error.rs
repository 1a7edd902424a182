//! Errors as C has them: a code and a text.

use std::ffi::{CStr, c_char, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};

use shipmate::Error;

/// `enum shipmate_error_code`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum Code {
    Ok = 0,
    Address = 1,
    Unreachable = 2,
    AddressInUse = 3,
    Disconnected = 4,
    Protocol = 5,
    Limit = 6,
    Deadline = 7,
    Service = 8,
    Misuse = 9,
    Os = 10,
    Internal = 11,
}

/// `struct shipmate_error`.
#[repr(C)]
pub struct ErrorOut {
    pub(crate) code: c_int,
    pub(crate) os_error: c_int,
    pub(crate) message: [c_char; MESSAGE_BYTES],
}

pub(crate) const MESSAGE_BYTES: usize = 504;

/// Why a function fails.
#[derive(Debug)]
pub(crate) struct Failure {
    code: Code,
    os_error: c_int,
    text: String,
}

pub(crate) type Result<T> = std::result::Result<T, Failure>;

impl Code {
    const ALL: [Code; 12] = [
        Code::Ok,
        Code::Address,
        Code::Unreachable,
        Code::AddressInUse,
        Code::Disconnected,
        Code::Protocol,
        Code::Limit,
        Code::Deadline,
        Code::Service,
        Code::Misuse,
        Code::Os,
        Code::Internal,
    ];

    pub(crate) fn name_of(code: c_int) -> &'static CStr {
        match Code::ALL.into_iter().find(|known| *known as c_int == code) {
            Some(Code::Ok) => c"ok",
            Some(Code::Address) => c"address",
            Some(Code::Unreachable) => c"unreachable",
            Some(Code::AddressInUse) => c"address in use",
            Some(Code::Disconnected) => c"disconnected",
            Some(Code::Protocol) => c"protocol",
            Some(Code::Limit) => c"limit",
            Some(Code::Deadline) => c"deadline",
            Some(Code::Service) => c"service",
            Some(Code::Misuse) => c"misuse",
            Some(Code::Os) => c"os",
            Some(Code::Internal) => c"internal",
            None => c"unknown",
        }
    }
}

impl Failure {
    pub(crate) fn misuse(text: impl Into<String>) -> Self {
        Failure { code: Code::Misuse, os_error: 0, text: text.into() }
    }

    pub(crate) fn deadline(text: impl Into<String>) -> Self {
        Failure { code: Code::Deadline, os_error: 0, text: text.into() }
    }

    /// What the system refused.
    pub(crate) fn os(doing: &str, error: std::io::Error) -> Self {
        let os_error = error.raw_os_error().unwrap_or(0);
        Failure { code: Code::Os, os_error, text: format!("{doing}: {error}") }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = match &error {
            Error::Address { .. } => Code::Address,
            Error::Unreachable { .. } => Code::Unreachable,
            Error::AddressInUse { .. } => Code::AddressInUse,
            Error::Disconnected { .. } => Code::Disconnected,
            Error::Protocol { .. } => Code::Protocol,
            Error::Limit { .. } => Code::Limit,
            Error::Deadline(_) => Code::Deadline,
            Error::Service { .. } => Code::Service,
            Error::Misuse(_) => Code::Misuse,
            Error::Os { .. } => Code::Os,
            _ => Code::Internal,
        };
        let os_error = match &error {
            Error::Os { source, .. } => source.raw_os_error().unwrap_or(0),
            _ => 0,
        };
        Failure { code, os_error, text: error.to_string() }
    }
}

/// Runs an exported function: tells the caller what went wrong, which gives -1. No panic reaches C.
///
/// # Safety
/// `error` is null, or may be written.
pub(crate) unsafe fn guarded(error: *mut ErrorOut, work: impl FnOnce() -> Result<c_int>) -> c_int {
    let failure = match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => return value,
        Ok(Err(failure)) => failure,
        Err(panic) => Failure { code: Code::Internal, os_error: 0, text: text_of(&*panic) },
    };
    if !error.is_null() {
        // SAFETY: the caller says so.
        unsafe { error.write(failure.into()) };
    }
    -1
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("a defect of libshipmate: {}", text.unwrap_or("it panicked"))
}

impl From<Failure> for ErrorOut {
    fn from(failure: Failure) -> Self {
        // Cut off between characters, with room for the NUL.
        let end = (0..MESSAGE_BYTES).rev().find(|&end| failure.text.is_char_boundary(end)).unwrap_or(0);
        let mut message = [0; MESSAGE_BYTES];
        for (to, byte) in message.iter_mut().zip(failure.text[..end].bytes()) {
            // A NUL would end it, and a line break would make two lines of it in a log.
            *to = (if byte < b' ' { b' ' } else { byte }) as c_char;
        }
        ErrorOut { code: failure.code as c_int, os_error: failure.os_error, message }
    }
}
