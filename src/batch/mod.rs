//! Micro-batching: windows in, batches within a token budget out, results back.
//!
//! In:  [`Item`]s of any tenant and length, in any order.
//! Out: [`Batch`]es whose padded size is at most [`Options::max_tokens`] (a single larger item
//!      is its own batch).
//! Holds: batch-mates do not matter (I4); the queue is bounded in tokens (I9); no tenant waits for
//!        another one's backlog; equal items are computed once.
//! Does not know: labels, models, texts. An item is a length, a tenant and a key.
mod cache;
mod queue;
mod service;

pub use service::{
    Batch, Batches, Counts, Handle, Item, Key, Options, Service, Stopped, Ticket, Weigh,
};
