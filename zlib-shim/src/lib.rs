//! The zlib library over WarpDrive's core: every function of zlib's API, served by ZIP queues where there are
//! some and by the software engine everywhere else.
//!
//! `export` is the C surface; `state` and `io` turn C pointers into this library's state and slices; `deflate`
//! and `inflate` are the streams; `soft` wraps the software engine; `gz` is the file API over the same streams.

mod check;
mod deflate;
mod export;
mod guard;
mod gz;
mod gzhead;
mod inflate;
mod io;
mod next;
mod oneshot;
mod pending;
mod soft;
mod state;
