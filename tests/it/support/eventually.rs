//! Waiting for what happens on other threads, in other processes and on servers.

use std::{
    fmt::Display,
    time::{Duration, Instant},
};

/// Time between two questions.
const AGAIN: Duration = Duration::from_millis(50);

/// Asks again and again until there is an answer. Panics after `limit` with what the last question said is missing.
#[track_caller]
pub fn eventually<T, E: Display>(limit: Duration, mut ask: impl FnMut() -> Result<T, E>) -> T {
    let start = Instant::now();
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(missing) => assert!(start.elapsed() < limit, "after {limit:?}: {missing}"),
        }
        std::thread::sleep(AGAIN);
    }
}

/// An answer for [`eventually`]: whether it is so, or else what is missing.
pub fn so<E: Display>(is: bool, missing: E) -> Result<(), E> {
    match is {
        true => Ok(()),
        false => Err(missing),
    }
}
