//! `struct shipmate_options`, and the arguments that are checked alike everywhere.

use std::ffi::{CStr, c_char};
use std::time::Duration;

use shipmate::transport::{Connecting, Tier};
use shipmate::{Address, ConnectOptions, ListenOptions};

use crate::error::{Failure, Result};

/// `struct shipmate_options`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Options {
    pub(crate) size: usize,
    pub(crate) connect_timeout_ms: u32,
    pub(crate) spin_us: u32,
    pub(crate) mode: u32,
    pub(crate) tier: u32,
}

impl Options {
    const DEFAULT: Options =
        Options { size: size_of::<Options>(), connect_timeout_ms: 0, spin_us: 0, mode: 0, tier: 0 };

    /// # Safety
    /// `given` is null, or points to as many bytes as its first field says.
    pub(crate) unsafe fn read(given: *const Options) -> Result<Options> {
        if given.is_null() {
            return Ok(Options::DEFAULT);
        }
        // SAFETY: the caller says so; the first field comes first.
        let size = unsafe { given.cast::<usize>().read() };
        if size != size_of::<Options>() {
            return Err(Failure::misuse(format!(
                "options.size is {size} and should be {}: start from SHIPMATE_OPTIONS_INIT, with the header of this \
                 library",
                size_of::<Options>()
            )));
        }
        // SAFETY: it is as long as that.
        let options = unsafe { given.read() };
        if options.mode > 0o777 || options.tier as usize >= TIERS.len() {
            return Err(Failure::misuse("options.mode is at most 0777, and options.tier is one of enum shipmate_tier"));
        }
        Ok(options)
    }

    pub(crate) fn connect_timeout(&self) -> Duration {
        match self.connect_timeout_ms {
            0 => ConnectOptions::default().timeout,
            given => Duration::from_millis(given.into()),
        }
    }

    pub(crate) fn spin(&self) -> Duration {
        Duration::from_micros(self.spin_us.into())
    }

    pub(crate) fn connecting(&self) -> Connecting {
        Connecting { spin: self.spin(), tier: self.tier() }
    }

    pub(crate) fn listen(&self) -> ListenOptions {
        let default = ListenOptions::default();
        let mode = if self.mode == 0 { default.mode } else { self.mode };
        ListenOptions { mode, spin: self.spin(), tier: self.tier(), ..default }
    }

    fn tier(&self) -> Tier {
        TIERS[self.tier as usize]
    }
}

/// `enum shipmate_tier`, by its numbers.
pub(crate) const TIERS: [Tier; 3] = [Tier::Copy, Tier::Sealed, Tier::Trusted];

/// # Safety
/// `text` is null, or ends with a NUL.
pub(crate) unsafe fn address(text: *const c_char) -> Result<Address> {
    if text.is_null() {
        return Err(Failure::misuse("the address is NULL"));
    }
    // SAFETY: the caller says so.
    let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
    Ok(text.parse::<Address>()?)
}
