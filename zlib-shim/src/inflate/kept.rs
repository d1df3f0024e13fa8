//! What is kept of a stream in software to find out again what the engine's fast path found: that one reports bad data
//! and forgets the message. The last input, and the engine's state before it.

use std::ffi::c_char;

use crate::soft::inflate::SoftInflate;

/// Most compressed input kept, bytes; more if the device path had kept more.
const KEPT: usize = 64 << 10;

/// Input that the engine took since `before`.
#[derive(Default)]
pub struct Kept {
    /// None for the member's start.
    before: Option<SoftInflate>,
    bytes: Vec<u8>,
}

impl Kept {
    /// All of a member so far.
    pub fn from_start(bytes: Vec<u8>) -> Self {
        Kept { before: None, bytes }
    }

    /// Nothing yet, behind the present state of `soft`. None without memory.
    pub fn from_here(soft: &mut SoftInflate) -> Option<Self> {
        Some(Kept { before: Some(soft.copy().ok()?), bytes: Vec::new() })
    }

    /// The member so far, if this is all of it.
    pub fn start(&self) -> Option<&[u8]> {
        self.before.is_none().then_some(&self.bytes)
    }

    /// Takes what the engine took; None if that is more than is kept: a new point to start from is due.
    pub fn with(mut self, new: &[u8]) -> Option<Self> {
        if self.bytes.len() + new.len() > KEPT.max(self.bytes.capacity()) {
            return None;
        }
        self.bytes.extend_from_slice(new);
        Some(self)
    }

    /// The message for bad data in `new`, which follows what is kept. The code in question may reach into `ahead`,
    /// beyond what the engine counts as used.
    pub fn message(self, window_bits: i32, new: &[u8], ahead: &[u8]) -> *mut c_char {
        let all = [&self.bytes[..], new, &ahead[..ahead.len().min(16)]].concat();
        match self.before {
            Some(before) => before.message_behind(&all),
            None => SoftInflate::message_for(window_bits, &all),
        }
    }

    /// A second one.
    pub fn copy(&mut self) -> Option<Self> {
        let before = match &mut self.before {
            Some(before) => Some(before.copy().ok()?),
            None => None,
        };
        Some(Kept { before, bytes: self.bytes.clone() })
    }
}
