//! `src/model/bioes/score.rs` with its neighbours; see Cargo.toml.
#[path = "../../src/model/bioes/emissions.rs"]
mod emissions;
#[path = "../../src/model/bioes/score.rs"]
mod score;

pub use emissions::{Emissions, Run};
pub use score::{LabelMatrix, Scorer};

/// As in `src/model/bioes/labels.rs`, which needs ONNX Runtime.
#[derive(Debug, Clone)]
pub struct LabelVectors {
    /// Width of a vector.
    pub hidden: usize,
    /// Vector of O.
    pub outside: Vec<f32>,
    /// Per label: B, I, E, S.
    pub labels: Vec<[Vec<f32>; 4]>,
}
