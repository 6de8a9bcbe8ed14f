//! Reloads of the tenants, as log lines and metrics.

use std::time::Duration;

use metrics::counter;
use tracing::{info, warn};

pub use crate::telemetry::Event;
use crate::{diagnose::Problems, telemetry::metric};

/// A new set is in use.
pub struct TenantsReloaded {
    /// How many.
    pub tenants: usize,
}

impl Event for TenantsReloaded {
    fn emit(self) {
        info!(tenants = self.tenants, "tenants reloaded");
        counter!(metric::RELOADS_TOTAL, "kind" => "tenants", "outcome" => "reloaded").increment(1);
    }
}

/// The files were read and had not changed.
pub struct TenantsUnchanged;

impl Event for TenantsUnchanged {
    fn emit(self) {
        counter!(metric::RELOADS_TOTAL, "kind" => "tenants", "outcome" => "unchanged").increment(1);
    }
}

/// A file is bad: the old set stays in use.
pub struct TenantsKept<'a> {
    /// What is wrong: places, keys and fixes, no values.
    pub problems: &'a Problems,
}

impl Event for TenantsKept<'_> {
    fn emit(self) {
        for problem in &self.problems.0 {
            warn!(at = %problem.at, problem = %problem.kind, fix = %problem.fix, "tenants not reloaded; the old ones stay in use");
        }
        counter!(metric::RELOADS_TOTAL, "kind" => "tenants", "outcome" => "kept").increment(1);
    }
}

/// The folder can't be watched.
pub struct WatchFailed {
    /// How often the files are compared instead.
    pub poll: Duration,
}

impl Event for WatchFailed {
    fn emit(self) {
        warn!(
            poll_secs = self.poll.as_secs(),
            "can't watch the folder of tenant files; weir checks it once a minute"
        );
    }
}
