//! Counter files: made, taken over, inherited, damaged, read.

mod files;
mod read;
mod turned;

use std::path::Path;

use super::layout::Layout;
use super::page::Page;
use super::*;
use crate::testing::{TempDir, in_child};

fn plain() -> Layout {
    Layout::new(&schema::entries(std::iter::empty()))
}

fn with_gauges(names: &[&str]) -> Layout {
    Layout::new(&schema::entries(names.iter().map(|name| (*name).to_owned())))
}

fn open(directory: &TempDir) -> Page {
    Page::open(directory.path(), &plain()).unwrap()
}

fn count(page: &Page, shard: usize, index: usize, amount: u64) {
    page.word(shard, index).fetch_add(amount, Ordering::Relaxed);
}

fn only_file(directory: &TempDir) -> reader::CounterFile {
    let mut files = reader::files(directory.path()).unwrap();
    assert_eq!(files.len(), 1);
    files.remove(0)
}
