//! Families that score B, I, E, S of each label at each token: any label by its vectors (adaptive), or the
//! classes of a fixed head.

mod alone;
mod backbone;
mod decoder;
mod emissions;
mod family;
mod feeds;
mod head;
mod labels;
mod lanes;
mod operating_points;
mod score;
mod tagger;
#[cfg(test)]
mod tests_scores;
pub mod viterbi;

pub use backbone::{Backbone, Hidden, Row};
pub use decoder::{Decoder, Found};
pub use emissions::{Emissions, Run};
pub use family::{Bioes, Options};
pub use head::{Assigned, Head};
pub use labels::{Conditions, Encoder, LabelVectors};
use operating_points::OperatingPoints;
pub use operating_points::Transitions;
pub use score::{LabelMatrix, Scorer};
pub use viterbi::Entity;
