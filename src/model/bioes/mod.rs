//! The adaptive family scores B, I, E and S of each label at each token, by the label's vectors. Its decoder reads
//! such scores, whatever gave them.

mod alone;
mod decoder;
mod emissions;
mod family;
mod given;
mod labels;
mod lanes;
mod score;
mod tagger;
#[cfg(test)]
mod tests_scores;
mod transitions;
pub mod viterbi;

pub use decoder::{Decoder, Found};
pub use emissions::{Emissions, Run};
pub use family::Bioes;
pub use labels::{Encoder, LabelVectors};
pub(super) use lanes::Lanes;
pub use score::{LabelMatrix, Scorer};
pub use transitions::Transitions;
pub use viterbi::{Entity, LONGEST_ENTITY};
