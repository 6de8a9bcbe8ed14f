//! Bugs on purpose, which `WEIR_PLANTED_FAULT` names: they show that tests find bugs of their kind. Only a build with
//! the feature `planted-faults` has them, and a release build with it does not compile.

/// A bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Offsets are committed before the records and outside of their transaction, so that a kill in between loses
    /// records (tests/it/chaos.rs).
    OffsetsFirst,
    /// A publishing slot waits and never goes on (tests/it/kafka_stall.rs).
    EndlessWait,
}

/// Whether this process has a bug.
#[cfg(feature = "planted-faults")]
pub(crate) fn has(fault: Fault) -> bool {
    use std::sync::LazyLock;

    static PLANTED: LazyLock<Option<Fault>> = LazyLock::new(|| {
        let name = std::env::var("WEIR_PLANTED_FAULT").ok()?;
        let planted = match name.as_str() {
            "offsets_first" => Fault::OffsetsFirst,
            "endless_wait" => Fault::EndlessWait,
            _ => return None,
        };
        tracing::error!(
            "WEIR_PLANTED_FAULT={name}: this process has a bug on purpose, and may lose records"
        );
        Some(planted)
    });
    *PLANTED == Some(fault)
}

/// Whether this process has a bug: no build without the feature has one.
#[cfg(not(feature = "planted-faults"))]
pub(crate) fn has(_: Fault) -> bool {
    false
}
