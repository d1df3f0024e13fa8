//! Output that is made but not delivered yet.

use crate::io::Io;

/// A queue of output bytes; its memory is kept for the next use.
#[derive(Debug, Default, Clone)]
pub struct Pending {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Pending {
    /// Bytes waiting.
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Forgets what waits.
    pub fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
    }

    /// Appends `bytes`.
    pub fn push(&mut self, bytes: &[u8]) {
        let room = self.room(bytes.len());
        room[..bytes.len()].copy_from_slice(bytes);
        self.filled(bytes.len());
    }

    /// Space for `n` more bytes, to be filled from its start; [`Pending::filled`] follows.
    pub fn room(&mut self, n: usize) -> &mut [u8] {
        if self.is_empty() {
            self.clear();
        }
        if self.buffer.len() - self.end < n {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            if self.buffer.len() - self.end < n {
                self.buffer.resize(self.end + n, 0);
            }
        }
        &mut self.buffer[self.end..self.end + n]
    }

    /// The first `n` bytes of the last [`Pending::room`] are output now.
    pub fn filled(&mut self, n: usize) {
        self.end = (self.end + n).min(self.buffer.len());
    }

    /// Delivers what fits.
    pub fn drain(&mut self, io: &mut Io<'_>) {
        let done = io.put(&self.buffer[self.start..self.end]);
        self.start += done;
        if self.is_empty() {
            self.clear();
        }
    }

    /// What waits.
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }
}
