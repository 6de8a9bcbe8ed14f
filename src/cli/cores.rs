//! No core files: one would hold texts of documents, and keys.

/// Keeps the system from writing this process's memory when it crashes, and other processes of its user from reading it.
/// A system that refuses either is left as it is: the process has no right that this would need.
pub(super) fn off() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};
        let none = Rlimit {
            current: Some(0),
            maximum: Some(0),
        };
        let _ = setrlimit(Resource::Core, none);
    }
    // Handlers of core dumps that are programs ignore the limit.
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
}
