//! A disk that forgets what was not synced, under SQLite.
//!
//! `journal` knows what is durable and what is merely written, `disk` is the power switch and the
//! processes that use it, `vfs` lets SQLite write to it. Files really exist, written through SQLite's own
//! unix VFS, so that locks and shared memory are the real ones.

mod disk;
mod journal;
mod vfs;

pub use disk::{Cut, Disk, DiskError, Lost, Refusal};
